/** What the algebra needs to know of a layer: its kind and its size in the *student*. Networks are lists of these. */

interface Named {
  /** State-dict prefix in the plain network. */
  readonly name: string;
}
/** Whether GPD widens the two sides: not the input of the first layer, not the output of the last. */
interface Widening {
  readonly widensIn: boolean;
  readonly widensOut: boolean;
}
export interface ConvModule extends Named, Widening {
  readonly kind: 'conv';
  readonly in: number;
  readonly out: number;
  readonly kernel: readonly [number, number];
  readonly stride: number;
  readonly pad: number;
  readonly groups: number;
  /** Whether the plain network has a bias here. Deployed networks may have one anyway. */
  readonly bias: boolean;
}
export interface LinearModule extends Named, Widening {
  readonly kind: 'linear';
  readonly in: number;
  readonly out: number;
  /** False where there is none. */
  readonly bias?: boolean;
  /** Whether it is stored as a 1x1 convolution. */
  readonly pointwise?: boolean;
}
export interface BatchNormModule extends Named {
  readonly kind: 'batchNorm';
  readonly channels: number;
  readonly eps: number;
}
export interface LayerNormModule extends Named {
  readonly kind: 'layerNorm';
  readonly channels: number;
  readonly eps: number;
}
/** A learned mask over attention scores. It cannot be widened. */
export interface MaskModule extends Named {
  readonly kind: 'mask';
  readonly heads: number;
  readonly tokens: number;
}
export type Module = ConvModule | LinearModule | BatchNormModule | LayerNormModule | MaskModule;

/** Dense or depthwise: the branches have no other groups. */
export const isOrepaCandidate = (m: ConvModule): boolean =>
  (m.groups === 1 || (m.groups === m.in && m.groups === m.out)) &&
  m.stride === 1 &&
  m.kernel[0] === 3 &&
  m.kernel[1] === 3 &&
  m.pad === 1;
