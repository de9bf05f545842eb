/** When a hypothesis counts as one that explains a difference. */
import type {LayerEvidence} from './evidence.js';
import type {ChannelFit, Planes} from './planes.js';

/** What is explained is reduced to this share, or to what rounding leaves. */
export const EXPLAINED = 0.03;

/** What may remain of a difference, as a root mean square. */
export const mayRemain = ({difference, largest}: Planes, agreesTo: number): number =>
  Math.max(EXPLAINED * difference, Math.min(0.3 * difference, agreesTo * largest));

/** Whether what a fit leaves is little enough. */
export const explains = ({residual}: Pick<ChannelFit, 'residual'>, planes: Planes, agreesTo: number): boolean =>
  residual <= mayRemain(planes, agreesTo);

/** An activation has cut numbers off: they say nothing about scale and offset. */
export const isCutOff = ({pair}: LayerEvidence): boolean => /Relu|Clip/.test(pair.reference.role);

/** Numbers of a channel, of all images. */
export const numbersOfChannel = ({pixels, images}: Planes): number => pixels * images.length;
