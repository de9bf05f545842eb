/**
 * What JSON.parse hides: a key that occurs twice in one object (the last one silently wins), and nesting without bound. One pass over
 * the text before it is parsed; whether the text is JSON at all is still JSON.parse's to say.
 */
export interface JsonProblem {
  readonly problem: string;
  readonly at: number;
}

export interface ScanOptions {
  readonly maxDepth: number;
  /** Default: whole ones alone. */
  readonly numbers?: 'whole' | 'any';
  /** Called for each key before anything is made of it: for a budget. */
  onKey?(depth: number): void;
}

/** Numbers are whole and written as digits: `4e0`, `4.0` and `-0` are none for readers that take integers. */
export function scanJson(text: string, {maxDepth, numbers = 'whole', onKey}: ScanOptions): JsonProblem | undefined {
  const open: (Set<string> | undefined)[] = []; // a set of keys per object, undefined per array
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (c === '{' || c === '[') {
      open.push(c === '{' ? new Set() : undefined);
      if (open.length > maxDepth) return {problem: `is nested more than ${maxDepth} deep`, at};
    } else if (c === '}' || c === ']') open.pop();
    else if (numbers === 'whole' && (c === '-' || (isDigit(c) && /[.eE]/.test(text[at + 1] ?? ''))))
      return {problem: 'has a number that is not written as a whole one', at};
    else if (c === '"') {
      const end = endOfString(text, at);
      if (end === undefined) return {problem: 'has a string without an end', at};
      const keys = open.at(-1);
      if (keys && isFollowedByColon(text, end)) {
        onKey?.(open.length);
        const key = decodeString(text.slice(at, end));
        if (key === undefined || keys.has(key))
          return {problem: key === undefined ? 'has a bad string' : `has the key '${key}' twice`, at};
        keys.add(key);
      }
      at = end - 1;
    }
  }
  return undefined;
}

const isDigit = (c: string | undefined): boolean => c !== undefined && c >= '0' && c <= '9';

/** One step for each character: a regular expression would keep a way back for every one of them, and run out of stack. */
function endOfString(text: string, at: number): number | undefined {
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === '"') return i + 1;
    if (text[i] === '\\') i++;
  }
  return undefined;
}

/** Between a key and its colon there may be blanks, as many as the writer likes. */
function isFollowedByColon(text: string, at: number): boolean {
  let i = at;
  while (text[i] === ' ' || text[i] === '\t' || text[i] === '\n' || text[i] === '\r') i++;
  return text[i] === ':';
}

/** Escapes matter: "a" and "\u0061" are the same key. */
function decodeString(token: string): string | undefined {
  try {
    return JSON.parse(token) as string;
  } catch {
    return undefined;
  }
}
