/** The library: what the commands do, as functions, and what they are made of. `import {convertFile, evaluate} from 'gpd-toolkit'`. */
export * from './library/basics.js';
export * from './library/checkpoints.js';
export * from './library/commands.js';
export * from './library/models.js';
export * from './library/reports.js';
