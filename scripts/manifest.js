// Writes oclif.manifest.json after a build: what every command and flag is, so that help is shown without loading a command.
import {writeFileSync} from 'node:fs';
import {Config, settings} from '@oclif/core';

settings.enableAutoTranspile = false;
process.env.NODE_ENV = 'production';
const root = new URL('..', import.meta.url).pathname;
const config = await Config.load({root, ignoreManifest: true});
const {manifest} = config.plugins.get(config.pjson.name);
const problems = Object.values(manifest.commands).filter((command) => !command.summary || !command.examples?.length);
if (problems.length > 0) throw new Error(`commands without summary or example: ${problems.map(({id}) => id).join(', ')}`);
writeFileSync('oclif.manifest.json', `${JSON.stringify(manifest, null, 1)}\n`);
