/** What a layer with weights costs. */
import {elementCount} from '../../core/tensor.js';
import type {Unit} from './plan.js';

/** Multiply-accumulates for one image: every weight meets every place of the output. Dimensions that are not known count as 1. */
export function macsOfUnit({node, weight}: Unit): number {
  if (!weight) return 0;
  const places = node.opType === 'Conv' ? (node.output.shape ?? []).slice(2) : [];
  return elementCount(weight.value.initializer.shape) * places.reduce<number>((n, d) => n * (typeof d === 'number' ? d : 1), 1);
}
