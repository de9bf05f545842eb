/**
 * Readers of plain JSON that may be anybody's: each takes a value of unknown type and returns it typed, or throws a SchemaError that
 * says where in the document what was expected. Whoever reads a file turns that into a GpdError with the file's name.
 */
export type Reader<T> = (value: unknown, place: string) => T;

/** `place` is a path such as `epochs[3].lr`, '' for the whole document. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  static at = (place: string, expected: string, found: unknown): SchemaError =>
    new SchemaError(`${place === '' ? 'it' : place} is ${kindOf(found)}, expected ${expected}`);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return value.length > 40 ? `a text of ${value.length} characters` : JSON.stringify(value);
  return Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : `${value}`;
}

/** A whole number from 0. */
export const whole =
  (max = 2 ** 40): Reader<number> =>
  (value, place) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
    throw SchemaError.at(place, `a whole number from 0 to ${max}`, value);
  };

export const finite: Reader<number> = (value, place) => {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw SchemaError.at(place, 'a number', value);
};

/** Something that was computed: JSON has no NaN and no infinity, and writes null for them. */
export const computed: Reader<number> = (value, place) => (value === null ? Number.NaN : finite(value, place));

export const flag: Reader<boolean> = (value, place) => {
  if (typeof value === 'boolean') return value;
  throw SchemaError.at(place, 'true or false', value);
};

/** At most `max` UTF-16 units. */
export const text =
  (max: number): Reader<string> =>
  (value, place) => {
    if (typeof value === 'string' && value.length <= max) return value;
    throw SchemaError.at(place, `a text of at most ${max} characters`, value);
  };

export const oneOf =
  <const T extends string | number>(...allowed: readonly T[]): Reader<T> =>
  (value, place) => {
    const found = allowed.find((one) => one === value);
    if (found !== undefined) return found;
    throw SchemaError.at(place, allowed.map((one) => JSON.stringify(one)).join(' or '), value);
  };

export const either =
  <A, B>(first: Reader<A>, second: Reader<B>): Reader<A | B> =>
  (value, place) => {
    try {
      return first(value, place);
    } catch {
      return second(value, place);
    }
  };

export const list =
  <T>(item: Reader<T>, max: number): Reader<readonly T[]> =>
  (value, place) => {
    if (!Array.isArray(value) || value.length > max) throw SchemaError.at(place, `a list of at most ${max}`, value);
    return value.map((one, i) => item(one, `${place}[${i}]`));
  };

/** An object of names and values, as JSON has them: no list, and not null. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const under = (place: string, name: string): string => (place === '' ? name : `${place}.${name}`);

/** Any names, values of one kind. A name `__proto__` is a name like any other. */
export const dictionary =
  <T>(item: Reader<T>, max: number): Reader<Record<string, T>> =>
  (value, place) => {
    if (!isRecord(value)) throw SchemaError.at(place, 'an object', value);
    const entries = Object.entries(value);
    if (entries.length > max) throw SchemaError.at(place, `an object of at most ${max} names`, value);
    return Object.fromEntries(entries.map(([name, one]) => [name, item(one, under(place, name.slice(0, 40)))]));
  };

/** A field that may be absent. */
export const maybe =
  <T>(reader: Reader<T>): Reader<T | undefined> =>
  (value, place) =>
    value === undefined ? undefined : reader(value, place);

/** These fields; others are passed over, and those that are absent stay so. */
export const object =
  <T extends object>(fields: {readonly [K in keyof T]-?: Reader<T[K]>}): Reader<T> =>
  (value, place) => {
    if (!isRecord(value)) throw SchemaError.at(place, 'an object', value);
    const found = Object.entries<Reader<unknown>>(fields).map(([name, reader]) => {
      const own = Object.hasOwn(value, name) ? value[name] : undefined;
      return [name, reader(own, under(place, name))] as const;
    });
    return Object.fromEntries(found.filter(([, one]) => one !== undefined)) as T;
  };

/** A document. Throws a SchemaError, also where the text is no JSON. */
export function parseJson<T>(document: string, reader: Reader<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(document);
  } catch (error) {
    throw new SchemaError(`it is not JSON: ${(error as Error).message}`);
  }
  return reader(value, '');
}
