/** The report of an evaluation as a file: thumbnails are made, facts about the machine added, and the page appears at once or not at all. */
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {arch, cpus, platform, release} from 'node:os';
import {checkOutput, writeAtomically} from '../core/output.js';
import {shellWord} from '../core/shell.js';
import {producer} from '../core/version.js';
import {thumbnail} from '../data/thumbnail.js';
import type {Evaluation} from '../eval/evaluation.js';
import {renderReport} from '../eval/report/page.js';
import {shownImages, THUMBNAIL_SIDE} from '../eval/report/worst-images.js';

export const commandLine = (command: string, argv: readonly string[]): string =>
  ['gpd', command, ...argv].map(shellWord).join(' ');

function runtimeVersion(): string {
  const path = createRequire(import.meta.url ?? __filename).resolve('onnxruntime-node/package.json');
  return JSON.parse(readFileSync(path, 'utf8')).version;
}

/** Versions and machine, for reports. */
export const environment = (): [string, string][] => [
  ['versions', `gpd ${producer.version}, onnxruntime ${runtimeVersion()}, Node.js ${process.versions.node}`],
  ['machine', `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}, ${platform()} ${release()} ${arch()}`],
  ['date', new Date().toISOString().slice(0, 16).replace('T', ' ')],
];

/** Before the long work, so that a bad path is known at once; and what writes the report after it. */
export function saveReport(path: string, argv: readonly string[]) {
  checkOutput(path, {force: true, inputs: []});
  return async (evaluation: Evaluation, read: (index: number) => Promise<Uint8Array>): Promise<void> => {
    const thumbnails = new Map<number, Uint8Array>();
    for (const index of shownImages(evaluation)) thumbnails.set(index, await thumbnail(await read(index), THUMBNAIL_SIDE));
    const page = await renderReport(evaluation, {command: commandLine('eval', argv), environment: environment(), thumbnails});
    writeAtomically(path, (write) => write(new TextEncoder().encode(page)));
  };
}
