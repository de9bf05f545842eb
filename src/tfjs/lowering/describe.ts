/** Recorded calls as text: for dumps, tables of times and messages. */
import type {LazyCall} from './value.js';

const shortTypes: Readonly<Record<string, string>> = {float32: 'f32', int32: 'i32'};
export const typeText = ({dtype, shape}: {dtype: string; shape: readonly number[]}): string =>
  `${shortTypes[dtype] ?? dtype}[${shape.join(', ')}]`;

/** `Conv2D(f32[8, 56, 56, 64], f32[3, 3, 64, 64]) → f32[8, 56, 56, 64]` */
export const callText = ({kernel, inputs, outputs}: LazyCall): string =>
  `${kernel}(${inputs.map(typeText).join(', ')}) → ${outputs.map(typeText).join(', ')}`;
