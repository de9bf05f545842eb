/**
 * What `gpd export` promises, measured on real images: float16 against float32, and preparation inside the model against preparation
 * outside. `node scripts/run.js bench/export.ts`. Needs the photographs and checkpoints beside the repository.
 */
import {existsSync, readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {convertFile} from '../src/convert/convert.js';
import {argmax} from '../src/core/compare-outputs.js';
import {float32, tensor, toFloat32} from '../src/core/tensor.js';
import {decodeImage} from '../src/data/image.js';
import {openDataset} from '../src/data/open-dataset.js';
import {normaliser, preprocess} from '../src/data/preprocess.js';
import {type Recipe, recipes} from '../src/data/recipe.js';
import {emulateHalf} from '../src/export/half/emulate.js';
import type {Calibration} from '../src/export/precision.js';
import {precisions} from '../src/export/precisions.js';
import {embedPreprocessing} from '../src/export/preprocess/embed.js';
import {resizerNames} from '../src/export/preprocess/resize.js';
import {decodeModel} from '../src/onnx/decode.js';
import {modelBytes} from '../src/onnx/encode.js';
import type {Model} from '../src/onnx/graph.js';
import {openSession, type Session} from '../src/onnx/session.js';

const data = join(process.env['GPD_SHARED'] ?? join(process.cwd(), '../shared'), 'data');
const students: readonly {name: string; checkpoint: string; images: string; recipe: Recipe}[] = [
  {name: 'cifar-resnet20', checkpoint: 'pretrained/resnet20-12fca82f.th', images: 'cifar10-val.tar', recipe: recipes.cifar(32)},
  {name: 'cifar-resnet56', checkpoint: 'pretrained/resnet56-4bfd9763.th', images: 'cifar10-val.tar', recipe: recipes.cifar(32)},
  {name: 'resnet18', checkpoint: '', images: 'imagenet-sample.tar', recipe: recipes.cnn(224)},
  {name: 'mobilenet', checkpoint: '', images: 'imagenet-sample.tar', recipe: recipes.cnn(224)},
  {name: 'rvt_tiny', checkpoint: '', images: 'imagenet-sample.tar', recipe: recipes.rvt(224)},
];

/** Full-size stand-ins are those that `npm run bench convert` leaves in build/bench. */
async function studentOf({name, checkpoint}: (typeof students)[number]): Promise<Model | undefined> {
  const path = join('build', 'bench', `${name}.onnx`);
  if (checkpoint !== '') await convertFile(join(data, checkpoint), {outputs: {student: path}, force: true});
  return existsSync(path) ? decodeModel(readFileSync(path)) : undefined;
}

interface Tally {
  images: number;
  same: number;
  maxAbs: number;
  largest: number;
}
function count(tally: Tally, want: Float32Array, got: Float32Array): void {
  tally.images++;
  if (argmax(want) === argmax(got)) tally.same++;
  for (let i = 0; i < want.length; i++) {
    tally.maxAbs = Math.max(tally.maxAbs, Math.abs(want[i]! - got[i]!));
    tally.largest = Math.max(tally.largest, Math.abs(want[i]!));
  }
}

const noCalibration: Calibration = {
  description: 'none',
  real: false,
  seen: {images: 16, distinct: 16, classes: undefined},
  async *batches() {},
};
const logitsOf = async (session: Session, name: string, input: ReturnType<typeof tensor>): Promise<Float32Array> =>
  toFloat32((await session.run(new Map([[name, input]]), ['logits'])).get('logits')!).data;

async function measure(student: (typeof students)[number]): Promise<void> {
  const model = await studentOf(student);
  if (!model) return console.log(`${student.name}: build/bench/${student.name}.onnx is not there: npm run bench convert`);
  const {recipe} = student;
  const half = (await precisions.fp16.make(model, {calibration: noCalibration, io: 'float32', int8: {}})).model;
  const forms: [name: string, model: Model, whole: boolean][] = [
    ['float16', emulateHalf(half), false],
    ...resizerNames.map(
      (resizer) =>
        [
          `inside, ${resizer}`,
          embedPreprocessing({...model, opset: Math.max(18, model.opset)}, {recipe, resizer}).model,
          true,
        ] as [string, Model, boolean],
    ),
  ];
  const reference = await openSession(modelBytes(model));
  const sessions = await Promise.all(
    forms.map(([name, own]) => openSession(modelBytes(own), name === 'float16' ? {optimize: 'disabled'} : {})),
  );
  const tallies = forms.map((): Tally => ({images: 0, same: 0, maxAbs: 0, largest: 0}));
  const dataset = await openDataset(join(data, student.images));
  const side = Number(model.graph.inputs[0]!.dims[2]);
  const normalise = normaliser(recipe);
  for (const sample of dataset.samples) {
    const image = await decodeImage(await sample.read());
    const planes = new Float32Array(3 * side * side);
    normalise(preprocess(image, recipe).data, planes);
    const prepared = float32([1, 3, side, side], planes);
    const bytes = tensor('uint8', [1, image.height, image.width, 3], new Uint8Array(image.data));
    const want = await logitsOf(reference, 'input', prepared);
    for (const [i, [, , whole]] of forms.entries())
      count(tallies[i]!, want, await logitsOf(sessions[i]!, whole ? 'image' : 'input', whole ? bytes : prepared));
  }
  await dataset.close();
  const size = modelBytes(model).length;
  console.log(
    `${student.name}: float32 ${size} bytes, float16 ${modelBytes(half).length} (half + ${modelBytes(half).length - size / 2})`,
  );
  for (const [i, [name]] of forms.entries()) {
    const {images, same, maxAbs, largest} = tallies[i]!;
    console.log(
      `  ${name}: same top-1 on ${same} of ${images} (${((100 * same) / images).toFixed(2)} %), logits at most ${maxAbs.toExponential(1)} apart (largest ${largest.toFixed(1)})`,
    );
  }
}

if (!statSync(data, {throwIfNoEntry: false})) throw new Error(`${data} is not there`);
const wanted = process.argv.slice(2);
for (const student of students) if (wanted.length === 0 || wanted.includes(student.name)) await measure(student);
