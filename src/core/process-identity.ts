/**
 * Which process it is, beyond its number: containers give the same numbers again and again. On Linux the kernel's boot, the namespace of process ids
 * and the start in it say it for certain; elsewhere the host's name and the number have to do.
 */
import {readFileSync, readlinkSync} from 'node:fs';
import {hostname} from 'node:os';
import {maybe, object, type Reader, text, whole} from './schema.js';

export interface ProcessIdentity {
  readonly host: string;
  readonly pid: number;
  readonly boot?: string;
  readonly namespace?: string;
  /** In clock ticks since the boot. */
  readonly started?: string;
}

const short = text(300);
const maybeShort = maybe(short) as Reader<string>;
export const identityFields = {host: short, pid: whole(), boot: maybeShort, namespace: maybeShort, started: maybeShort};
export const processIdentity: Reader<ProcessIdentity> = object<ProcessIdentity>(identityFields);

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** /proc/PID/stat: after the name, which may hold anything, the state is the first field and the start the twentieth. proc(5). */
function statOf(pid: number | 'self'): {state: string; started: string} | undefined {
  const fields = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
    ?.replace(/^.*\) /s, '')
    .split(' ');
  const [state, started] = [fields?.[0], fields?.[19]];
  return state === undefined || started === undefined ? undefined : {state, started};
}

export function ownIdentity(): ProcessIdentity {
  const boot = attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  const namespace = attempt(() => readlinkSync('/proc/self/ns/pid'));
  const started = statOf('self')?.started;
  return {
    ...{host: hostname(), pid: process.pid},
    ...(boot !== undefined && namespace !== undefined && started !== undefined && {boot, namespace, started}),
  };
}

/** Whether a process runs, where that can be known from here. */
export function lives(other: ProcessIdentity, own: ProcessIdentity = ownIdentity()): boolean | undefined {
  if (own.boot !== undefined && other.boot === own.boot && other.namespace === own.namespace) {
    const stat = statOf(other.pid);
    return stat !== undefined && stat.started === other.started && stat.state !== 'Z' && stat.state !== 'X'; // a zombie writes no more
  }
  if (own.boot !== undefined || other.boot !== undefined || other.host !== own.host) return undefined;
  try {
    process.kill(other.pid, 0);
    return undefined; // a process of that number: perhaps another one
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH' ? false : undefined;
  }
}
