/**
 * Tests that need something beside npm's packages. Each need stands here once, with how to get it; a test that lacks it is skipped,
 * its name ends in `(needs …)`, and the reporter counts the skipped tests by need.
 */
import {spawnSync} from 'node:child_process';
import {existsSync, statfsSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {missingFor} from '../src/onnx/providers.js';

const runs = (command: string, ...args: readonly string[]): boolean =>
  spawnSync(command, args, {stdio: 'ignore', timeout: 60_000}).status === 0;
const firstOf = (...paths: readonly string[]): string | undefined => paths.find((path) => path !== '' && existsSync(path));

/** The Python that Debian's python3-* packages install for, or whatever PYTHON names. */
export const PYTHON = process.env['PYTHON'] ?? '/usr/bin/python3';
const imports = (...modules: readonly string[]) => runs(PYTHON, '-c', `import ${modules.join(', ')}`);

/** Chromium's path, or undefined. */
export const chromium = firstOf(
  process.env['CHROMIUM'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
);
/** A Vulkan driver that runs on the CPU: the one that VK_ICD_FILENAMES names, or Chromium's SwiftShader. */
export const vulkanDriver = firstOf(process.env['VK_ICD_FILENAMES'] ?? '', '/usr/lib/chromium/vk_swiftshader_icd.json');

function freeBytes(folder: string): number {
  const {bavail, bsize} = statfsSync(folder);
  return bavail * bsize;
}

/** Debian's package or the kernel's feature, and whether it is there. Asked once, and only by the tests that need it. */
const needs = {
  chromium: () => chromium !== undefined,
  'chromium, for its Vulkan driver': () => vulkanDriver !== undefined && !missingFor('webgpu'),
  'nginx-light': () => existsSync('/usr/sbin/nginx'),
  busybox: () => runs('busybox', 'httpd', '--help'),
  'python3-onnx': () => imports('onnx'),
  'python3-torchvision': () => imports('torch', 'torchvision'),
  'a mount namespace': () => runs('unshare', '-rm', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt'),
  'a network namespace': () => runs('unshare', '-rn', 'true'),
  'Linux, for its /proc': () => existsSync('/proc/self/stat'),
  'a process namespace': () => runs('unshare', '-rpf', '--mount-proc', 'true'),
  '/proc of Linux': () => existsSync('/proc/self/ns/pid'),
  '/dev/full of Linux': () => existsSync('/dev/full'),
  '3 GB of free disk': () => freeBytes(tmpdir()) > 3e9,
  'an account that obeys file modes': () => obeysModes.length > 0 || process.getuid?.() !== 0,
} satisfies Record<string, () => boolean>;
export type Need = keyof typeof needs;

/** Runs a command as a user for whom file modes count: root reads and writes everything unless it gives that right away. */
const withoutOverride = ['--bounding-set=-dac_override,-dac_read_search', '--inh-caps=-dac_override,-dac_read_search'];
export const obeysModes: readonly string[] =
  process.getuid?.() === 0 && runs('setpriv', ...withoutOverride, 'true') ? ['setpriv', ...withoutOverride] : [];

const known = new Map<Need, boolean>();
export function has(need: Need): boolean {
  if (!known.has(need)) known.set(need, needs[need]());
  return known.get(need)!;
}

/** `test` where the need is met, else a skipped one that names it. */
export function testWith(need: Need, name: string, body: jest.ProvidesCallback, timeout?: number): void {
  if (has(need)) test(name, body, timeout);
  else test.skip(`${name} (needs ${need})`, body, timeout);
}
