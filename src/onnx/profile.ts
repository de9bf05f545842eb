/** Profiles that the runtime writes: how long each node took. Chrome's trace format, one file a session. */
import {readdirSync, readFileSync} from 'node:fs';
import {basename, dirname, join} from 'node:path';

interface ProfileEvent {
  cat?: string;
  name?: string;
  /** Microseconds. */
  dur?: number;
  args?: {op_name?: string};
}

/** One run of one node. */
export interface NodeRun {
  node: string;
  operator: string;
  ms: number;
}

const SUFFIX = '_kernel_time';

export function readProfile(text: string): NodeRun[] {
  const events = JSON.parse(text) as ProfileEvent[];
  return events.flatMap(({cat, name = '', dur = 0, args = {}}) =>
    cat === 'Node' && name.endsWith(SUFFIX)
      ? [{node: name.slice(0, -SUFFIX.length), operator: args.op_name ?? '?', ms: dur / 1000}]
      : [],
  );
}

/** Every run in the files whose paths begin so; the runtime appends the time to the prefix that it is given. */
export function readProfiles(prefix: string): NodeRun[] {
  const files = readdirSync(dirname(prefix)).filter((file) => file.startsWith(basename(prefix)) && file.endsWith('.json'));
  return files.flatMap((file) => readProfile(readFileSync(join(dirname(prefix), file), 'utf8')));
}
