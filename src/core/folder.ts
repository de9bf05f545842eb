/** What lies in a folder that the user names. */
import {readdirSync, statSync} from 'node:fs';

/** The names in a folder, in order; undefined where the path is none, or may not be looked into: opening it says why. */
export function namesInFolder(path: string): string[] | undefined {
  try {
    return statSync(path).isDirectory() ? readdirSync(path).sort() : undefined;
  } catch {
    return undefined;
  }
}
