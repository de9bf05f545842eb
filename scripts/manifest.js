// Writes oclif.manifest.json after a build: what every command and flag is, so that help is shown without loading a command.
import {writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {Plugin, settings} from '@oclif/core';

settings.enableAutoTranspile = false;
const root = fileURLToPath(new URL('..', import.meta.url));
const plugin = new Plugin({root, type: 'core', ignoreManifest: true, errorOnManifestCreate: true});
await plugin.load();
const incomplete = Object.values(plugin.manifest.commands).filter(({summary, examples}) => !summary || !examples?.length);
if (incomplete.length > 0)
  throw new Error(`commands without a summary or an example: ${incomplete.map(({id}) => id).join(', ')}`);
writeFileSync(`${root}/oclif.manifest.json`, `${JSON.stringify(plugin.manifest, null, 1)}\n`);
