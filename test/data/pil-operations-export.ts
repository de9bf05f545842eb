/** Prints the cases of pil-operations.ts for pil-operations.py. */
import {pilCases} from './pil-operations.js';

const cases = pilCases().map(({operation, argument, filter, image: {width, height, data}}) => ({
  ...{operation, argument, filter, width, height},
  data: Buffer.from(data).toString('base64'),
}));
process.stdout.write(JSON.stringify(cases));
