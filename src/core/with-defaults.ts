/** Options that may be absent, completed in one place: the function that takes them. */

/** `O` where those named `K` are there. */
export type Filled<O, K extends keyof O> = O & {[P in K]-?: Exclude<O[P], undefined>};

/** The defaults stand for options that are absent or undefined. */
export function withDefaults<O extends object, K extends keyof O>(
  options: O,
  defaults: {readonly [P in K]: Exclude<O[P], undefined>},
): Filled<O, K> {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return {...defaults, ...given} as Filled<O, K>;
}
