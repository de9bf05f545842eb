/**
 * THE table of what our models say of themselves in their metadata (docs/formats.md): how each entry is written, and read again. Files may
 * be anybody's: an entry that is not in its form is read as absent.
 */
import {isRecord} from '../core/schema.js';

interface Field<T> {
  readonly key: string;
  write(value: T): string;
  read(text: string): T | undefined;
}

const textField = (key: string): Field<string> => ({key, write: (value) => value, read: (text) => text});
const numberField = (key: string, write: (value: number) => string = String): Field<number> => ({
  key,
  write,
  read: (text) => (text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined),
});
const jsonField = <T>(key: string, isValid: (value: unknown) => value is T): Field<T> => ({
  key,
  write: (value) => JSON.stringify(value),
  read(text) {
    try {
      const value: unknown = JSON.parse(text);
      return isValid(value) ? value : undefined;
    } catch {
      return undefined;
    }
  },
});
const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');
const digits = (count: number) => (value: number) => value.toExponential(count);

const fields = {
  version: textField('gpd.version'),
  sourceSha256: textField('gpd.source.sha256'),
  sourceStateDict: textField('gpd.source.state_dict'),
  sourcePrefix: textField('gpd.source.prefix'),
  form: textField('gpd.form'),
  arch: textField('gpd.arch'),
  kind: textField('gpd.kind'),
  ratio: numberField('gpd.ratio'),
  orepa: numberField('gpd.orepa'),
  proofImages: numberField('gpd.proof.images'),
  proofMaxAbs: numberField('gpd.proof.max_abs', digits(3)),
  proofMaxRelative: numberField('gpd.proof.max_relative', digits(3)),
  proofBound: numberField('gpd.proof.bound', digits(0)),
  without: jsonField('gpd.without', isTexts),
  proofClaim: textField('gpd.proof.claim'),
  normalisation: jsonField('gpd.normalisation', isRecord),
  precision: textField('gpd.precision'),
  preprocessing: jsonField('gpd.preprocessing', isRecord),
  labels: jsonField('labels', isTexts),
} as const;

type ValueOf<F> = F extends Field<infer T> ? T : never;
/** Values of the entries by our names for them. */
export type GpdMetadata = {readonly [K in keyof typeof fields]: ValueOf<(typeof fields)[K]>};

/** Undefined where the entry is absent or not in its form. */
export function readGpd<K extends keyof GpdMetadata>(
  metadata: ReadonlyMap<string, string>,
  name: K,
): GpdMetadata[K] | undefined {
  const field = fields[name] as unknown as Field<GpdMetadata[K]>;
  const text = metadata.get(field.key);
  return text === undefined ? undefined : field.read(text);
}

/** Entries in the order of `values`; those that are undefined are not written. */
export function gpdEntries(
  values: {readonly [K in keyof GpdMetadata]?: GpdMetadata[K] | undefined},
): [key: string, text: string][] {
  return Object.entries(values).flatMap(([name, value]) => {
    const field = fields[name as keyof GpdMetadata] as unknown as Field<unknown>;
    return value === undefined ? [] : [[field.key, field.write(value)] as [string, string]];
  });
}

/** What was proven is the float32 student that a form is made of: the form itself is checked, within another bound. */
export const asStudentsProof = (metadata: ReadonlyMap<string, string>): Map<string, string> =>
  new Map([...metadata].map(([key, value]) => [key.replace(/^gpd\.proof\./, 'gpd.student.proof.'), value]));
