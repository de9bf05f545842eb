/** Lists of files as shells write them: `shard-{000..009}.tar`, `{train,extra}-{0..3}.tar`. Many programs give them to a loader unexpanded. */
import {GpdError} from '../core/error.js';

/** Far more than any set has shards. */
const MAX_PATHS = 100_000;

/** The paths, in their order; only `path` itself where there are no braces in it. Throws LIMIT_EXCEEDED for more than any set has. */
export function expandBraces(path: string): string[] {
  const found = /\{([^{}]*)\}/.exec(path);
  if (!found) return [path];
  const choices = rangeOf(found[1]!) ?? (found[1]!.includes(',') ? found[1]!.split(',') : undefined);
  if (!choices) return [path];
  const before = path.slice(0, found.index);
  const rest = expandBraces(path.slice(found.index + found[0].length));
  if (choices.length * rest.length > MAX_PATHS) throw tooMany(path);
  return choices.flatMap((choice) => rest.map((end) => `${before}${choice}${end}`));
}

/** `000..009`: as many digits as the wider end has where it begins with 0. */
function rangeOf(text: string): string[] | undefined {
  const range = /^(\d{1,9})\.\.(\d{1,9})$/.exec(text);
  if (!range) return undefined;
  const [first, last] = [range[1]!, range[2]!];
  const [from, to] = [Number(first), Number(last)];
  const count = Math.abs(to - from) + 1;
  if (count > MAX_PATHS) throw tooMany(text);
  const isPadded = /^0\d/.test(first) || /^0\d/.test(last);
  const width = isPadded ? Math.max(first.length, last.length) : 0;
  return Array.from({length: count}, (_, i) => String(from + (to < from ? -i : i)).padStart(width, '0'));
}

const tooMany = (path: string): GpdError =>
  new GpdError('LIMIT_EXCEEDED', `${path}: names more than ${MAX_PATHS} files`, {
    at: path,
    hint: 'give a folder of them, or fewer',
  });
