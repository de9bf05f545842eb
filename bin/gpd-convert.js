#!/usr/bin/env node
// `gpd-convert FILE …` is `gpd convert FILE …`.
import {run} from './run.js';

const [first, ...rest] = process.argv.slice(2);
await run(
  first === '--version' || first === '-V' ? [first] : ['convert', ...(first === undefined ? ['--help'] : [first]), ...rest],
);
