// Uses every function of the built package as a program does: `use CHECKPOINT FOLDER TRAINING-SET`. Prints what came of it as JSON.
import {join} from 'node:path';
import * as gpd from 'gpd-toolkit';

const [checkpoint, folder, set] = process.argv.slice(2);
const inFolder = (name) => join(folder, name);
const student = inFolder('student.onnx');
const data = join(set, 'val');
const aborted = () => AbortSignal.abort();
const refusal = (work) =>
  work.then(
    () => 'nothing',
    (error) => (error instanceof gpd.GpdError ? error.code : error.name),
  );
const results = {};
const seen = {convert: [], evaluate: 0, verify: 0, bench: 0, export: [], train: 0};

const conversion = await gpd.convertFile(checkpoint, {outputs: {student}, onPhase: (phase) => seen.convert.push(phase)});
results.relative = conversion.outputs[0].proof.relative;
const other = {outputs: {student: inFolder('other.onnx')}};
results.convertAborted = await refusal(gpd.convertFile(checkpoint, {...other, signal: aborted()}));
const stop = new AbortController();
const onPhase = (phase) => phase === 'prove' && stop.abort();
results.convertStopped = await refusal(gpd.convertFile(checkpoint, {...other, onPhase, signal: stop.signal}));

results.inspected = [(await gpd.inspect(checkpoint)).kind, (await gpd.inspect(student, {text: true})).kind];

const images = {data, threads: 1, batchSize: 4, state: null};
const {evaluation} = await gpd.evaluate([checkpoint, student], {...images, onProgress: () => seen.evaluate++});
results.evaluated = evaluation.models.map(({form, images: n}) => [form, n]);
results.agreement = evaluation.models.at(-1).agreement;
results.evaluateAborted = (await gpd.evaluate([student], {...images, signal: aborted()})).evaluation.complete;

const few = {samples: 4, threads: 1};
const verified = await gpd.verify(checkpoint, student, {...few, onProgress: () => seen.verify++});
results.verified = [verified.ok, verified.complete];
results.verifyAborted = (await gpd.verify(checkpoint, student, {...few, signal: aborted()})).complete;

const exported = await gpd.exportModel(student, {
  ...{precisions: ['fp16'], output: inFolder('half.onnx'), rounds: 0, data},
  onPhase: (phase) => seen.export.push(phase),
});
results.exported = exported.forms.map(({name, written}) => [name, written]);
results.exportAborted = await refusal(gpd.exportModel(student, {output: inFolder('never.onnx'), signal: aborted()}));
results.gatesWithoutImages = await refusal(gpd.exportModel(student, {gates: {maxDrop: 1}}));

const brief = {rounds: 2, roundMs: 20, threads: [1]};
const benched = await gpd.bench([student], {...brief, onProgress: () => seen.bench++});
results.benched = [benched.rows.length, benched.complete, benched.rows[0].p50 > 0];
results.benchAborted = (await gpd.bench([student], {...brief, signal: aborted()})).complete;

const model = gpd.decodeModel(gpd.fileSource(student));
const shape = [8, 3, ...model.graph.inputs[0].shape.slice(2)];
const noise = Float32Array.from({length: shape.reduce((n, d) => n * d)}, (_, i) => Math.sin(i * 1.7));
const calibration = async function* () {
  yield {dtype: 'float32', shape, data: noise};
};
const {report} = await gpd.quantiseModel(model, {calibration, method: 'minmax'});
results.quantised = report.quantised > 10;

const options = {
  ...{arch: 'cifar-resnet20', data: set, out: inFolder('run'), epochs: 1, 'batch-size': 10, ratio: 1},
  ...{threads: 1, backend: 'onnxruntime'},
};
const stopped = await gpd.train(options, {signal: aborted()});
results.trainAborted = stopped.complete;
const trained = await gpd.train(options, {resume: true, onProgress: () => seen.train++});
results.trained = [trained.complete, trained.epochs.length, trained.student.maxRelative < 1e-4];
results.misspelt = await gpd.train({epoch: 3}).catch(({code, hint}) => [code, hint]);

console.log(JSON.stringify({results, seen}));
