/** Programs may be plain JavaScript: what the compiler refuses in TypeScript is refused here, before any work. */
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';

/** What was expected instead, or undefined where the value will do. */
export type OptionRule = (value: unknown) => string | undefined;
/** One for every option. */
export type Rules<O> = {readonly [K in keyof Required<O>]: OptionRule};

const typed =
  (type: string, expected: string): OptionRule =>
  (value) =>
    typeof value === type ? undefined : expected;
export const toggle = typed('boolean', 'true or false');
export const callback = typed('function', 'a function');
export const text: OptionRule = (value) => (typeof value === 'string' && value !== '' ? undefined : 'text');
export const abortSignal: OptionRule = (value) => (value instanceof AbortSignal ? undefined : 'an AbortSignal');
export const plainObject: OptionRule = (value) => (typeof value === 'object' && value !== null ? undefined : 'an object');
export const finite: OptionRule = (value) => (Number.isFinite(value) ? undefined : 'a number');

export const whole =
  (min: number, max = Number.MAX_SAFE_INTEGER): OptionRule =>
  (value) => {
    if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return undefined;
    return max === Number.MAX_SAFE_INTEGER ? `a whole number from ${min}` : `a whole number from ${min} to ${max}`;
  };
export const oneOf =
  (names: readonly unknown[]): OptionRule =>
  (value) =>
    names.includes(value) ? undefined : `one of ${names.join(', ')}`;
export const either =
  (...rules: readonly OptionRule[]): OptionRule =>
  (value) => {
    const expected = rules.map((rule) => rule(value));
    return expected.includes(undefined) ? undefined : expected.join(', or ');
  };
/** At least one. */
export const listOf =
  (rule: OptionRule): OptionRule =>
  (value) => {
    const problem = Array.isArray(value) && value.length > 0 ? value.map(rule).find((expected) => expected) : 'of values';
    return problem === undefined ? undefined : `a list, each ${problem}`.replace('each of values', 'not empty');
  };

/** An object with some of these and nothing else. */
export const shape =
  <O>(rules: Rules<O>): OptionRule =>
  (value) => {
    const own = rules as Readonly<Record<string, OptionRule>>;
    const fits = ([key, part]: [string, unknown]) =>
      Object.hasOwn(own, key) && (part === undefined || own[key]!(part) === undefined);
    if (plainObject(value) === undefined && Object.entries(value as object).every(fits)) return undefined;
    return `an object of ${Object.keys(own).join(', ')}`;
  };

const invalid = (problem: string, hint: string) => new GpdError('CONFIG_INVALID', problem, {hint});
const shown = (value: unknown): string => (JSON.stringify(value) ?? String(value)).slice(0, 80);

/** Throws CONFIG_INVALID for an option of `name` that is unknown, missing, or has a value that it does not take. */
export function checkOptions<O extends object>(
  name: string,
  options: O,
  rules: Rules<O>,
  required: readonly (keyof O & string)[] = [],
): void {
  if (plainObject(options) !== undefined) throw invalid(`${name} takes an object of options`, 'docs/api.md lists them');
  for (const key of required)
    if (options[key] === undefined) throw invalid(`${name} needs the option '${key}'`, 'docs/api.md describes it');
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(rules, key)) {
      const near = nearest(key, Object.keys(rules));
      throw invalid(`${name} has no option '${key}'`, near ? `did you mean '${near}'?` : 'docs/api.md lists them');
    }
    checkValue(`${name}: ${key}`, value, rules[key as keyof O]);
  }
}

/** Absent is allowed. Throws CONFIG_INVALID. */
export function checkValue(what: string, value: unknown, rule: OptionRule): void {
  const expected = value === undefined ? undefined : rule(value);
  if (expected !== undefined) throw invalid(`${what} ${shown(value)}: expected ${expected}`, 'docs/api.md describes it');
}
