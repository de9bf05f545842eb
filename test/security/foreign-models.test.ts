/** Models of strangers: what they are called, how large they say they are, and what the runtime would print of them. */
import {mkdtempSync, rmSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import fc from 'fast-check';
import {float32, int64} from '../../src/core/tensor.js';
import {subjectOfFile} from '../../src/eval/subject.js';
import {ModelProto} from '../../src/onnx/proto.js';
import {openSession} from '../../src/onnx/session.js';
import {run} from '../commands/program.js';
import {type ForeignOptions, failing, foreignModel} from './foreign.js';

type Between = NonNullable<ForeignOptions['between']>;

const IMAGE = float32([1, 3, 8, 8], new Float32Array(192).fill(1));

let cwd = '';
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'foreign-'));
  writeFileSync(join(cwd, 'plain.onnx'), foreignModel());
});
afterAll(() => rmSync(cwd, {recursive: true}));
const made = (model: Uint8Array): string => {
  writeFileSync(join(cwd, 'x.onnx'), model);
  return 'x.onnx';
};

const commands: Record<string, (model: string) => string[]> = {
  verify: (model) => ['verify', 'plain.onnx', model],
  'verify, as the reference': (model) => ['verify', model, 'plain.onnx'],
  eval: (model) => ['eval', model, '--data', '.'],
  bench: (model) => ['bench', model, '--rounds', '2', '--round-ms', '1'],
  export: (model) => ['export', model, '--output', 'out.onnx'],
};

describe('names of values are names, whatever objects of JavaScript are born with', () => {
  const member = fc.constantFrom(...Object.getOwnPropertyNames(Object.prototype));
  const name = fc.oneof({weight: 3, arbitrary: member}, fc.string({minLength: 1, maxLength: 12, unit: 'grapheme'}));
  test('random names of inputs and outputs', async () => {
    const names = fc.uniqueArray(name, {minLength: 2, maxLength: 2});
    await fc.assert(
      fc.asyncProperty(names, async ([input, output]) => {
        const session = await openSession(foreignModel({input: input!, output: output!}));
        try {
          expect([session.inputNames, session.outputNames]).toEqual([[input], [output]]);
          for (const wanted of [undefined, [output!]]) {
            const results = await session.run(new Map([[input!, IMAGE]]), wanted);
            const numbers = results.get(output!)!.data as Float32Array;
            expect([[...results.keys()], numbers[5]]).toEqual([[output], Math.fround(0.5)]);
          }
        } finally {
          await session.close();
        }
      }),
      {seed: 15, numRuns: 60},
    );
  });

  test('an output that nobody asked for', async () => {
    const between: Parameters<typeof foreignModel>[0] = {
      between: (graph, images) => {
        const more = graph.op('Relu', [images], {}, {outputNames: ['toString']});
        graph.outputs = [more];
        return more;
      },
    };
    const session = await openSession(foreignModel(between));
    expect((await session.run(new Map([['input', IMAGE]]), ['logits'])).get('logits')!.shape).toEqual([1, 10]);
    await session.close();
  });
});

const sizes: [name: string, shape: {batch?: number; side?: number}, code: string][] = [
  ['images of no pixels', {side: 0}, 'SHAPE_MISMATCH'],
  ['a batch of 2^40 images', {batch: 2 ** 40}, 'LIMIT_EXCEEDED'],
  ['sides of 30,000 pixels', {side: 30_000}, 'LIMIT_EXCEEDED'],
  ['sides of 2^20 pixels', {side: 2 ** 20}, 'LIMIT_EXCEEDED'],
  ['sides whose square is no exact number', {side: 2 ** 31}, 'LIMIT_EXCEEDED'],
];
describe.each(sizes)('%s', (_, shape, code) => {
  test.each(Object.entries(commands))('%s', async (__, args) => {
    const {status, stdout} = await run([...args(made(foreignModel(shape))), '--json'], {cwd});
    const {error} = JSON.parse(stdout);
    expect([status, error.code, error.message]).toEqual([1, code, expect.stringContaining('x.onnx')]);
    expect(error.hint).toEqual(expect.any(String));
  });
});

test('a batch of no images means any number, and that is said; or the command ends in words', async () => {
  const model = made(foreignModel({batch: 0}));
  const {status, stdout} = await run(['verify', 'plain.onnx', model, '--json'], {cwd});
  const {verdict, actual} = JSON.parse(stdout);
  expect([status, verdict]).toEqual([0, 'same']);
  expect(actual.warnings.join()).toContain('0 images at a time');
  const bench = await run(['bench', model, '--rounds', '2', '--round-ms', '1', '--json'], {cwd});
  expect([bench.status, JSON.parse(bench.stdout).failures.length]).toEqual([1, 1]);
});

test('batches that are asked for are checked in the same way', async () => {
  for (const args of [
    ['bench', 'plain.onnx', '--batch-size', '1000000000'],
    ['bench', 'plain.onnx', '--batch-size', '1,9007199254740991'],
  ]) {
    const {status, stdout} = await run([...args, '--json'], {cwd});
    expect([status, JSON.parse(stdout).error.code]).toEqual([1, 'LIMIT_EXCEEDED']);
  }
});

describe('a model of somebody else that the engine does not run: its file, the reason, what to do; no bug of ours', () => {
  const fixed: Between = (graph, images) =>
    graph.op('Reshape', [images, graph.initializer('one', int64([4], [1, 3, 8, 8]))], {}, {name: 'fixed'});
  const unknown: Between = (graph, images) =>
    graph.op('Relu', [images], {}, {domain: 'ai.somebody', name: 'theirs', types: [{dtype: 'float32', shape: images.dims}]});
  const cases: [string, string, Between][] = [
    ['verify', 'failed while running the model', fixed],
    ['bench', 'refused the model', unknown],
    ['verify', 'refused the model', unknown],
    ['export', 'refused the model', unknown],
  ];
  test.each(cases)('%s %s', async (command, what, between) => {
    const model = made(foreignModel({between, domains: new Map([['ai.somebody', 1]])}));
    const {status, stdout} = await run([...commands[command]!(model), '--json'], {cwd});
    const answer = JSON.parse(stdout);
    const {code = 'ENGINE_FAILED', at, message, reason, hint} = answer.error ?? answer.failures[0];
    expect([status, code]).toEqual([1, 'ENGINE_FAILED']);
    expect(`${at} ${message ?? reason}`).toContain('x.onnx');
    expect(message ?? reason).toContain(what);
    expect(`${hint}`).not.toMatch(/bug|report/);
    if (answer.error) expect(hint).toContain('gpd inspect --text');
  });

  test('one that was made here should have run', async () => {
    const session = openSession(foreignModel({between: unknown, domains: new Map([['ai.somebody', 1]])}));
    await expect(session).rejects.toMatchObject({code: 'ENGINE_FAILED', hint: expect.stringContaining('bug')});
  });
});

describe('weights in a sparse file: holes explain no memory', () => {
  const sparse = (name: string, numbers: number): string => {
    const path = join(cwd, 'holes.bin');
    writeFileSync(path, '');
    truncateSync(path, 2 ** 42);
    const message = ModelProto.decode(foreignModel());
    const weights = message.graph!.initializer!.find((t) => t.name === 'weights')!;
    const externalData = [
      {key: 'location', value: 'holes.bin'},
      {key: 'length', value: `${4 * numbers}`},
    ];
    Object.assign(weights, {dims: [1, numbers], dataLocation: 1, externalData});
    delete (weights as {rawData?: unknown}).rawData;
    writeFileSync(join(cwd, name), ModelProto.encode(message).finish());
    return join(cwd, name);
  };

  test('what is allowed does not grow with them', () => {
    const subject = subjectOfFile(sparse('holes.onnx', 10));
    expect(subject.size.fileBytes).toBeGreaterThan(2 ** 42);
    expect(subject.storedBytes).toBeLessThan(2 ** 20);
  });

  test.each(['verify', 'eval', 'export', 'bench'])('%s: more than is allowed is refused before it is read', async (command) => {
    sparse('holes.onnx', 2 ** 28);
    const {status, stdout} = await run([...commands[command]!('holes.onnx'), '--memory-limit', '700M', '--json'], {cwd});
    const answer = JSON.parse(stdout);
    expect(status).toBe(1);
    expect(JSON.stringify(answer)).toMatch(/holes\.onnx: its weights take 1\.00 GiB, the limit is 0\.684 GiB/);
  });
});

describe('what the runtime has to say is said by us: nothing of a file reaches the terminal as it is', () => {
  const evil = '\u001b]52;c;ZXZpbA==\u0007\u001b[2K\rall is well\u009b2K';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const raw = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;
  test.each(Object.entries(commands).filter(([name]) => name !== 'eval'))('%s', async (_, args) => {
    const model = made(foreignModel({between: failing(evil)}));
    const [text, json] = [await run(args(model), {cwd}), await run([...args(model), '--json'], {cwd})];
    expect([text.stderr, text.stdout].filter((all) => raw.test(all))).toEqual([]);
    expect(json.stderr).toBe('');
    expect((text.stdout + text.stderr).replace(/\n ›\s+/g, ' ')).toContain('all is well'); // the reason is there, escaped
    expect([text.status, json.status]).toEqual([1, 1]);
  });
});
