/** The house rules that a machine can check. docs/architecture.md has the reasons. */
import {readdirSync, readFileSync} from 'node:fs';
import {dirname, join, posix, relative, sep} from 'node:path';
import {producer} from '../src/core/version.js';

const root = join(__dirname, '..');
const filesIn = (folder: string): string[] =>
  readdirSync(join(root, folder), {recursive: true, withFileTypes: true})
    .filter((entry) => entry.isFile() && /\.(ts|js|cjs|mjs)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');

/** A file imports its own folder and lower floors only. src/index.ts, the library, stands outside. */
const floors = [
  ['core'],
  ['reparam'],
  ['onnx', 'checkpoint'],
  ['data'],
  ['models', 'tfjs'],
  ['convert', 'train', 'eval', 'export'],
  ['workflows'],
  ['cli', 'library'],
  ['commands'],
];
/** Rooms inside large folders, lowest first ('' is the folder itself): a file imports its own room and lower ones only. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  train: ['step/parameters', 'step/losses', 'step/networks', 'step', 'options', 'run', 'replay'],
  tfjs: ['lowering', 'kernels/convolution', 'kernels', 'runtime', 'backend', 'jit', ''],
  workflows: ['summaries', '', 'export'],
  cli: ['terminal', 'render', '', 'flags'],
};
const OUTSIDE = 'src/index.ts';
const floorOf = (folder: string) => floors.findIndex((names) => names.includes(folder));

/** Who may import a package: a folder, or one file of it. Packages without an entry are refused. */
const owners: readonly [name: RegExp, owners: readonly string[]][] = [
  [/^onnxruntime-node$/, ['src/onnx/session.ts', 'src/onnx/sync-session.ts']],
  [/^onnx-proto$/, ['src/onnx/proto.ts']],
  [/^protobufjs(\/|$)/, ['src/onnx/']],
  [/^@oclif\/core(\/|$)/, ['src/cli/', 'src/commands/']],
  [/^@tensorflow\//, ['src/tfjs/', 'src/train/']],
  [/^sharp$/, ['src/data/']],
  [/^xz-decompress$/, ['src/data/unpack.ts']],
  [/^fzstd$/, ['src/data/parquet/codecs.ts']],
  [/^echarts$/, ['src/eval/report/']],
  // Parsers take bytes, never paths: files are opened on the lowest floor, by the readers of image sets, and by what the user types.
  // Evaluation and training keep the state of long runs; providers look for the libraries that they need; the runtime writes its profiles to files.
  [
    /^node:fs(\/|$)/,
    [
      'src/core/',
      'src/data/',
      'src/eval/',
      'src/train/',
      'src/export/web/runtime.ts',
      'src/onnx/providers.ts',
      'src/onnx/profile.ts',
      'src/workflows/',
      'src/cli/',
      'src/commands/',
    ],
  ],
  [/^node:/, ['src/']],
];

/** Every imported name: static, dynamic, of types, and re-exported. */
const importsOf = (text: string): string[] =>
  [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"\n]+)['"]/g)].map(([, name]) => name!);

function whyNotPackage(file: string, name: string): string | undefined {
  const owner = owners.find(([pattern]) => pattern.test(name));
  if (!owner) return `${file}: the package '${name}' has no owner`;
  return owner[1].some((path) => file.startsWith(path)) ? undefined : `${file}: '${name}' belongs to ${owner[1].join(', ')}`;
}

/** Why a file may not import another of its own folder, where that has rooms. */
function whyNotRoom(file: string, target: string): string | undefined {
  const [, top] = file.split('/') as [string, string];
  const order = rooms[top];
  if (!order) return undefined;
  const roomOf = (path: string) => order.indexOf(dirname(path).split('/').slice(2).join('/'));
  if (roomOf(file) < 0) return `${file}: its room has no place among ${order.join(', ')}`;
  return roomOf(target) <= roomOf(file) ? undefined : `${file}: '${target}' is in a higher room`;
}

function whyNotFile(file: string, name: string): string | undefined {
  const target = posix.join(dirname(file), name);
  const [from, to] = [file, target].map((path) => path.split('/')[1]!) as [string, string];
  if (!target.startsWith('src/') || target.split('/').length < 3) return `${file}: '${name}' is outside the floors`;
  if (from === to) return whyNotRoom(file, target);
  return floorOf(to) < floorOf(from) ? undefined : `${file}: '${name}' is not below`;
}

const whyNot = (file: string, name: string) => (name.startsWith('.') ? whyNotFile : whyNotPackage)(file, name);
const sources = filesIn('src');

test('every folder has a floor', () => {
  const folders = new Set(sources.filter((file) => file !== OUTSIDE).map((file) => file.split('/')[1]!));
  expect([...folders].filter((folder) => floorOf(folder) < 0)).toEqual([]);
});

test('a file imports only what is below it, and packages only where they belong', () => {
  const inside = sources.filter((file) => file !== OUTSIDE);
  expect(inside.length).toBeGreaterThan(50);
  expect(inside.flatMap((file) => importsOf(textOf(file)).flatMap((name) => whyNot(file, name) ?? []))).toEqual([]);
});

test('the TensorFlow.js backend could be a package of its own: it needs core/ and onnx/ alone', () => {
  const imported = sources
    .filter((file) => file.startsWith('src/tfjs/'))
    .flatMap((file) =>
      importsOf(textOf(file))
        .filter((name) => name.startsWith('.'))
        .map((name) => posix.join(dirname(file), name)),
    );
  expect([...new Set(imported.map((path) => path.split('/')[1]))].sort()).toEqual(['core', 'onnx', 'tfjs']);
});

test('the rule sees what breaks it', () => {
  const breaking: [file: string, text: string][] = [
    ['src/core/x.ts', `import {a} from '../onnx/graph.js';`],
    ['src/onnx/passes/x.ts', `import type {A} from '../../checkpoint/open.js';`],
    ['src/models/x.ts', `const a = await import('../convert/convert.js');`],
    ['src/convert/x.ts', `export * from '../index.js';`],
    ['src/models/x.ts', `type A = typeof import('onnxruntime-node');`],
    ['src/onnx/graph.ts', `import x from 'onnx-proto';`],
    ['src/checkpoint/x.ts', `import {readFileSync} from 'node:fs';`],
    ['src/core/x.ts', `import 'left-pad';`],
    ['src/workflows/x.ts', `import {Flags} from '@oclif/core';`],
    ['src/train/step/x.ts', `import {a} from '../run/run.js';`],
    ['src/train/attic/x.ts', `import {a} from '../run/run.js';`],
  ];
  for (const [file, text] of breaking)
    expect([file, importsOf(text).flatMap((name) => whyNot(file, name) ?? [])]).toEqual([file, [expect.any(String)]]);
  expect(whyNot('src/onnx/passes/x.ts', '../graph.js')).toBeUndefined();
});

/**
 * `.buffer` of a Node Buffer is the memory of a pool, or 64 KiB of old memory where the Buffer is empty. A view of it needs its place and
 * length beside it (`x.buffer, x.byteOffset, …`); what is to be moved goes through `ownBytes`. Arrays made in the same expression, our own
 * typed arrays and WebAssembly's memory are whole.
 */
const WHOLE: readonly (readonly [file: string, expression: string])[] = [
  ['src/checkpoint/byte-writer.ts', 'this.bytes.buffer'],
  ['src/checkpoint/byte-writer.ts', 'larger.buffer'],
  ['src/core/bytes.ts', 'bytes.buffer'], // `ownBytes` itself
  ['src/core/half.ts', 'out.buffer'],
  ['src/data/decoders.ts', 'bytes.buffer'], // looks at the length first
  ['src/data/decode-worker.ts', 'result.image.data.buffer'], // names what is moved; the view goes with it
  ['src/data/jpeg/decode.ts', 'kernels.memory.buffer'],
  ['src/data/resample.ts', 'memory.buffer'],
  ['src/data/wasm.ts', 'exports.memory.buffer'],
  ['src/export/web/script.js', 'wasm).buffer'], // a browser has no Buffers
  ['src/onnx/decode-tensor.ts', 'into.buffer'],
];
function bareBuffers(file: string, text: string): string[] {
  return [
    ...text.matchAll(/([\w$.!]+(?:\([^()]*\))?\)*)\.buffer\b(?!:)(?: as ArrayBuffer)?(, ([\w$.]+)\.byteOffset)?/g),
  ].flatMap(([, expression = '', , viewed]) => {
    const fresh = /^\w*Array\.(of|from)\(/.test(expression);
    const known = WHOLE.some(([where, what]) => where === file && what === `${expression}.buffer`);
    return fresh || known || viewed === expression ? [] : [`${file}: ${expression}.buffer`];
  });
}

test('a Buffer’s memory is never used without its place and length', () => {
  const programs = [...sources, ...filesIn('bin'), ...filesIn('scripts')];
  expect(programs.flatMap((file) => bareBuffers(file, textOf(file)))).toEqual([]);
  expect(bareBuffers('x', 'new Uint8Array((await readFile(file)).buffer as ArrayBuffer)')).toHaveLength(1);
  expect(bareBuffers('x', 'new DataView(readFileSync(path).buffer)')).toHaveLength(1);
  expect(bareBuffers('x', 'new DataView(a.buffer, b.byteOffset)')).toHaveLength(1);
  expect(bareBuffers('x', 'new DataView(a.buffer, a.byteOffset); Float64Array.of(v).buffer')).toEqual([]);
});

/** Modules whose short words are read together, as a language of their own: the same words may recur in another of them. */
const VOCABULARIES = [
  'src/core/option-kinds.ts',
  'src/core/schema.ts',
  'src/data/wasm.ts',
  'src/library/check-options.ts',
  'src/onnx/pattern.ts',
];
/** Names that stand twice for a reason. */
const TWICE: Readonly<Record<string, string>> = {
  bench: 'the library’s function checks what plain JavaScript hands it, then calls the workflow of that name',
  convertFile: 'the same',
  evaluate: 'the same',
  quantiseModel: 'the same',
  verify: 'the same',
};
const DECLARATION =
  /^export (?:default )?(?:abstract )?(?:async )?(?:const|function\*?|class|interface|type|enum|let) +([\w$]+)/gm;
const declaredIn = (text: string) => [...text.matchAll(DECLARATION)].map(([, name]) => name!);

/** Exported names that more than one file declares. Overloads and a type beside its value stand in one file. */
function declaredTwice(files: readonly (readonly [file: string, text: string])[]): string[] {
  const places = new Map<string, string[]>();
  for (const [file, text] of files)
    if (!VOCABULARIES.includes(file))
      for (const name of new Set(declaredIn(text))) places.set(name, [...(places.get(name) ?? []), file]);
  return [...places]
    .filter(([name, where]) => where.length > 1 && !TWICE[name])
    .map(([name, where]) => `${name}: ${where.join(', ')}`);
}

test('an exported name means one thing', () => {
  expect(declaredTwice(sources.filter((file) => !/^src\/commands\//.test(file)).map((file) => [file, textOf(file)]))).toEqual(
    [],
  );
  const two = ['src/a.ts', 'src/b.ts'].map((file) => [file, 'export interface Range {}\n'] as const);
  expect(declaredTwice(two)).toEqual(['Range: src/a.ts, src/b.ts']);
});

/** Circles of files that import types alone, and why each is one thing in several files. */
const CIRCLES: Readonly<Record<string, string>> = {
  'src/onnx/constant-tensor.ts, src/onnx/exporter-ops.ts, src/onnx/graph.ts, src/onnx/op-shapes.ts, src/onnx/op-types.ts, src/onnx/ops.ts':
    'a node knows the schema of its operator, and a schema reads nodes',
  'src/tfjs/lowering/kernel-entry.ts, src/tfjs/lowering/lowering.ts, src/tfjs/lowering/value.ts':
    'a recorded value knows the kernel that gave it, and a kernel reads values',
};

/** Files that reach each other: each circle as its sorted names. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const reach = (from: string) => {
    const seen = new Set<string>();
    const open = [...(graph.get(from) ?? [])];
    for (let next = open.pop(); next !== undefined; next = open.pop())
      if (!seen.has(next)) {
        seen.add(next);
        open.push(...(graph.get(next) ?? []));
      }
    return seen;
  };
  const reached = new Map([...graph.keys()].map((file) => [file, reach(file)]));
  const inCircle = [...graph.keys()].filter((file) => reached.get(file)!.has(file));
  const circleOf = (file: string) => inCircle.filter((other) => reached.get(file)!.has(other) && reached.get(other)!.has(file));
  return [...new Set(inCircle.map((file) => circleOf(file).sort().join(', ')))].sort();
}

test('no file imports itself by way of others, inside a folder either', () => {
  const imported = (file: string) =>
    importsOf(textOf(file))
      .filter((name) => name.startsWith('.'))
      .map((name) => posix.join(dirname(file), name).replace(/\.js$/, '.ts'));
  expect(circles(new Map(sources.map((file) => [file, imported(file)])))).toEqual(Object.keys(CIRCLES).sort());
  expect(
    circles(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
        ['c', ['b']],
        ['d', []],
      ]),
    ),
  ).toEqual(['b, c']);
});

const written = ['src', 'test', 'fixtures', 'bench', 'scripts', 'bin'].flatMap(filesIn);
const MAX_LINES = 400;

test('a file has one subject: at most 400 lines, and a name that says which', () => {
  const long = written.map((file) => [file, textOf(file).split('\n').length - 1] as const).filter(([, n]) => n > MAX_LINES);
  expect(long).toEqual([]);
  expect(written.filter((file) => /(^|\/)(utils?|helpers?|misc|common)(\.|\/)/i.test(file))).toEqual([]);
});

test('no default exports but commands', () => {
  const defaults = sources.filter((file) => /^export default /m.test(textOf(file)));
  expect(defaults.filter((file) => !file.startsWith('src/commands/'))).toEqual([]);
});

test('the version is that of package.json', () => {
  expect(producer.version).toBe(JSON.parse(textOf('package.json')).version);
});

test('tests are skipped for a need that has a name, and for no other reason', () => {
  const skipping = filesIn('test').filter((file) =>
    /\b(test|it|describe)\.(skip|only|todo)\b|\bx(test|it|describe)\(/.test(textOf(file)),
  );
  expect(skipping).toEqual(['test/optional.ts', 'test/shared.ts']);
});
