/** Recorded calls as text: for dumps, tables of times and messages. */
import type {Plan} from './plan.js';
import type {LazyCall, LazyValue} from './value.js';

const shortTypes: Readonly<Record<string, string>> = {float32: 'f32', int32: 'i32'};
export const typeText = ({dtype, shape}: {dtype: string; shape: readonly number[]}): string =>
  `${shortTypes[dtype] ?? dtype}[${shape.join(', ')}]`;

/** `Conv2D(f32[8, 56, 56, 64], f32[3, 3, 64, 64]) → f32[8, 56, 56, 64]` */
export const callText = ({kernel, inputs, outputs}: LazyCall): string =>
  `${kernel}(${inputs.map(typeText).join(', ')}) → ${outputs.map(typeText).join(', ')}`;

/** A plan, one line a call: `%7 f32[8, 10] = Softmax(%6) {"dim":1}`. What exists already is an `in`, as in the graph. */
export function planText({calls, leaves, wanted}: Plan): string {
  const names = new Map<LazyValue, string>(leaves.map((leaf, i) => [leaf, `in${i}`]));
  for (const output of calls.flatMap((call) => call.outputs)) names.set(output, String(names.size - leaves.length));
  const name = (v: LazyValue) => `%${names.get(v)}`;
  const inputs = leaves.map((leaf) => `${name(leaf)} ${typeText(leaf)}${leaf.layout ? ` stored as (${leaf.layout})` : ''}`);
  const lines = calls.map(({kernel, inputs: of, outputs, attrs}) => {
    const results = outputs.map((v) => `${name(v)} ${typeText(v)}`).join(', ');
    const attributes = Object.keys(attrs).length > 0 ? ` ${JSON.stringify(attrs)}` : '';
    return `${results} = ${kernel}(${of.map(name).join(', ')})${attributes}`;
  });
  return `${[...inputs, ...lines, `→ ${wanted.map(name).join(', ')}`].join('\n')}\n`;
}
