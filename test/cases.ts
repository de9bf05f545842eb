/** Checkpoints with the logits that are right for them in float64: the project's fixtures, and goldens of the original code where they lie. */
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {type Fixture, fixtures, variantsOf} from '../fixtures/checkpoints.js';
import {imagesOf} from '../fixtures/logits.js';
import {openCheckpoint} from '../src/checkpoint/open.js';
import {fileSource} from '../src/core/bytes.js';
import type {Tensor} from '../src/core/tensor.js';
import {type Recognised, type RecogniseOptions, recognise} from '../src/models/recognise.js';
import type {Role} from '../src/reparam/parameters.js';
import {shared, sharedCases} from './shared.js';

export interface Case {
  readonly path: string;
  readonly ema: boolean;
  /** What must be told because no tensor says it. */
  readonly flags: RecogniseOptions;
  readonly images: Tensor;
  /** Float64, [N, classes]. */
  readonly logits: Readonly<Record<Role, ArrayLike<number>>>;
  recognise(): Recognised;
}

const recogniseAs = ({path, ema, flags}: Pick<Case, 'path' | 'ema' | 'flags'>): Recognised => {
  const {stateDict, args} = openCheckpoint(fileSource(path), {ema});
  return recognise(stateDict, args, flags);
};

const checkpoints = join(__dirname, '../fixtures/checkpoints');
export const fixturePath = (file: string): string => join(checkpoints, file);
export const fixtureNamed = (file: string): Fixture => fixtures.find((f) => f.file === file)!;

export function fixtureCase(fixture: Fixture, variant: 'weights' | 'ema'): Case {
  const {file, flags} = fixture;
  const expected = JSON.parse(readFileSync(join(checkpoints, `${file}.logits.json`), 'utf8'))[variant];
  const what = {path: join(checkpoints, file), ema: variant === 'ema', flags};
  const logits = {student: expected.student.flat(), teacher: expected.teacher.flat()};
  return {...what, images: imagesOf(fixture), logits, recognise: () => recogniseAs(what)};
}

export const fixtureCases: readonly (readonly [name: string, open: () => Case])[] = fixtures.flatMap((fixture) =>
  variantsOf(fixture).map((variant) => [`${fixture.file}, ${variant}`, () => fixtureCase(fixture, variant)] as const),
);

export const GOLDENS = 'goldens/convert';

/** One of `goldens/convert`, its weights or their moving average. */
export function goldenCase(name: string, variant: 'weights' | 'ema'): Case {
  const file = (...path: string[]) => shared(GOLDENS, name, ...path);
  const tensors = (path: string) => openCheckpoint(fileSource(path)).stateDict;
  const {io, image_size: imageSize, widths, gpd_ratio: ratio} = JSON.parse(readFileSync(file('case.json'), 'utf8'));
  const path = file('checkpoint.pth.tar');
  const input = tensors(file(io ?? 'io.safetensors'));
  const {args} = openCheckpoint(fileSource(path));
  const flags = {imageSize, heads: widths?.heads, ...(ratio > 1 && !args && {ratio})};
  const what = {path, ema: variant === 'ema', flags};
  const output = what.ema ? tensors(file('io_ema.safetensors')) : input;
  const logits = (key: string) => output.get(key)!.read().data as Float64Array;
  return {
    ...what,
    images: input.get('input')!.read(),
    logits: {student: logits('tiny_logits_f64'), teacher: logits('expanded_logits_f64')},
    recognise: () => recogniseAs(what),
  };
}

/** Every valid golden; empty where they are absent. */
export const goldenCases: readonly (readonly [name: string, open: () => Case])[] = sharedCases(GOLDENS, /^(?!13)\d/).flatMap(
  (name) => {
    const variants = existsSync(shared(GOLDENS, name, 'io_ema.safetensors'))
      ? (['weights', 'ema'] as const)
      : (['weights'] as const);
    return variants.map((variant) => [`${name}, ${variant}`, () => goldenCase(name, variant)] as const);
  },
);
