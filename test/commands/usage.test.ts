/** Wrong flags and values: what was meant, in a line or two, and not the whole help. */
import {run} from './program.js';

const cases: readonly (readonly [args: string, ...said: RegExp[]])[] = [
  ['convert x.pth --outptu y', /has no flag --outptu; did you mean --output\?/],
  ['convert x.pth --outptu=y', /has no flag --outptu; did you mean --output\?/],
  ['train --no-convrt', /has no flag --no-convrt; did you mean --no-convert\?/],
  ['convert x.pth --zzzzzzzz', /gpd convert has no flag --zzzzzzzz/],
  ['train --net_version resnet18', /original's --net_version is --arch of gpd train/],
  ['train --train_data_dir d', /original's --train_data_dir is --data of gpd train/],
  ['train --nproc_per_node 4 --master_port 1', /--nproc_per_node: one process/],
  ['convert --use_orepa', /original's --use_orepa is --orepa of gpd train/],
  ['export x --precision fp61', /expected --precision=fp61 to be one of: fp32, fp16, int8/i, /did you mean fp/],
  ['eval x', /--data is missing/],
  ['convert x --opset 300', /--opset: expected an integer less than or equal to 23/],
  ['inspect', /Missing 1 required arg/],
  ['convert --heads 1 2 x', /Unexpected argument: x/],
];

test.each(cases.map(([args, ...said]) => ({args, said})))('gpd $args', async ({args, said}) => {
  const {status, stdout, stderr} = await run(args.split(' '));
  const words = stderr.replace(/\s*\n\s*›?\s*/g, ' ');
  for (const pattern of said) expect(words).toMatch(pattern);
  expect(words).toMatch(/gpd \w+ --help lists its flags/);
  expect(stderr.split('\n').length).toBeLessThan(8);
  expect([status, stdout]).toEqual([2, '']);
});

test('with --json it is one document', async () => {
  const {status, stdout, stderr} = await run(['convert', 'x', '--outptu', 'y', '--json']);
  expect(JSON.parse(stdout)).toEqual({error: {code: 'USAGE', message: expect.stringContaining('did you mean --output?')}});
  expect([status, stderr]).toEqual([2, '']);
});
