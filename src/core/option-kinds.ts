/** What the value of an option may be: how it is read from a flag or a line of a configuration file, and how it is written back. */

export interface OptionKind<T> {
  /** Throws an Error whose message continues "--name TEXT: ". */
  parse(text: string): T;
  /** `parse(format(value))` is the value. */
  format(value: T): string;
  /** What stands for the value in help. */
  readonly placeholder: string;
  /** A flag without a value. */
  readonly isSwitch?: true;
  readonly choices?: readonly string[];
  /** How a word of older versions is written now; undefined for any other text. */
  now?(text: string): string | undefined;
}

const bad = (expected: string) => new Error(`expected ${expected}`);

export const text = (placeholder: string): OptionKind<string> => ({
  placeholder,
  parse(value) {
    if (value === '') throw bad('something');
    return value;
  },
  format: (value) => value,
});

export interface NumberRange {
  readonly min?: number;
  readonly max?: number;
  /** The bounds themselves are excluded. */
  readonly above?: number;
}

function inRange(value: number, {min, max, above}: NumberRange, noun: string): number {
  const bounds = [
    above !== undefined && `above ${above}`,
    min !== undefined && `from ${min}`,
    max !== undefined && `up to ${max}`,
  ].filter(Boolean);
  const isInside = value > (above ?? Number.NEGATIVE_INFINITY) && value >= (min ?? -Infinity) && value <= (max ?? Infinity);
  if (!isInside) throw bad([noun, ...bounds].join(' '));
  return value;
}

export const number = (range: NumberRange = {}): OptionKind<number> => ({
  placeholder: 'X',
  parse(value) {
    const parsed = value.trim() === '' ? Number.NaN : Number(value);
    return inRange(Number.isFinite(parsed) ? parsed : Number.NaN, range, 'a number');
  },
  format: String,
});

export const integer = (range: NumberRange = {}): OptionKind<number> => ({
  placeholder: 'N',
  parse: (value) => inRange(/^[+-]?\d{1,15}$/.test(value.trim()) ? Number(value) : Number.NaN, range, 'a whole number'),
  format: String,
});

/** A moment of a run: so many epochs after its beginning, or a share of all its epochs. */
export type EpochMoment = number | `${number}%`;

/** `30`, or `30%`. */
export const moment: OptionKind<EpochMoment> = {
  placeholder: 'N',
  parse(value) {
    const given = value.trim();
    const isShare = /^\d{1,3}(\.\d{1,6})?%$/.test(given) && Number.parseFloat(given) > 0 && Number.parseFloat(given) <= 100;
    if (isShare) return given as EpochMoment;
    if (/^\+?\d{1,9}$/.test(given) && Number(given) > 0) return Number(given);
    throw bad('a whole number of epochs from 1, or a share of them such as 50%');
  },
  format: String,
};

/** `1,2,3` or `[1, 2, 3]`. */
export const list = <T>(item: OptionKind<T>, {length}: {length?: number} = {}): OptionKind<readonly T[]> => ({
  placeholder: `${item.placeholder},…`,
  parse(value) {
    const inner = value.trim().replace(/^\[(.*)\]$/, '$1');
    const items = inner.trim() === '' ? [] : inner.split(',').map((part) => item.parse(part.trim()));
    if (length !== undefined && items.length !== length) throw bad(`${length} of them, separated by a comma`);
    return items;
  },
  format: (items) => `[${items.map(item.format).join(', ')}]`,
});

export const toggle: OptionKind<boolean> = {
  placeholder: '',
  isSwitch: true,
  parse(value) {
    if (value === 'true' || value === 'false') return value === 'true';
    throw bad('true or false');
  },
  format: String,
};

export const choice = <const T extends string>(...choices: readonly T[]): OptionKind<T> => ({
  placeholder: 'NAME',
  choices,
  parse(value) {
    const found = choices.find((name) => name === value);
    if (found === undefined) throw bad(`one of ${choices.join(', ')}`);
    return found;
  },
  format: (value) => value,
});

/**
 * Some of a table's names, each once, in the table's order: `a`, `a,b` or `[a, b]`. `older`: words of older versions, and what they
 * stand for.
 */
export const names = <const T extends string>(
  all: readonly T[],
  older: Readonly<Record<string, readonly T[]>> = {},
): OptionKind<readonly T[]> => {
  const item = choice(...all);
  const listed = list(item);
  const meant = (value: string) => (Object.hasOwn(older, value.trim()) ? older[value.trim()] : undefined);
  return {
    placeholder: listed.placeholder,
    parse(value) {
      const given = meant(value) ?? listed.parse(value);
      const twice = given.find((name, i) => given.indexOf(name) !== i);
      if (twice !== undefined) throw bad(`each name once, not ${twice} again`);
      if (given.length === 0) throw bad(`one or more of ${all.join(', ')}`);
      return all.filter((name) => given.includes(name));
    },
    format: (value) => (value.length === 1 ? value[0]! : listed.format(value)),
    now: (value) => meant(value)?.join(','),
  };
};

const NONE = 'none';
/** Also `none`, which is null. */
export const optional = <T>(kind: OptionKind<T>): OptionKind<T | null> => ({
  ...kind,
  ...(kind.choices && {choices: [...kind.choices, NONE]}),
  parse: (value) => (value === NONE ? null : kind.parse(value)),
  format: (value) => (value === null ? NONE : kind.format(value)),
});
