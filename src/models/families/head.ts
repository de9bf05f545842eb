/** The layer that tells classes apart, at the end of every network: under which name, with a bias or without, linear or a 1x1 convolution. */
import {elementCount} from '../../core/tensor.js';
import type {Layers} from '../layers.js';
import type {SizeReader} from '../size-reader.js';

export interface Head {
  readonly name: string;
  readonly classes: number;
  /** Default: there is one. */
  readonly bias?: boolean;
  /** Stored as a 1x1 convolution. */
  readonly pointwise?: boolean;
}

/** First parts of a name under which a classifier stands, in the libraries that train classifiers. */
export const HEAD_NAME =
  /^(fc|heads?|cls_?head|classif\w*|clf|cls|linear|last_?linear|logits?|outputs?|out|preds?|predictions?|dense|top)\d*$/i;

/** Numbers in two dimensions, and 1x1 where there are more. */
const isLayer = (shape: readonly number[]): boolean =>
  (shape.length === 2 || shape.length === 4) && elementCount(shape) === shape[0]! * shape[1]!;

/** `usual`: the name in the family's published code. Others are taken where that one is not there: `fc.1`, `classifier`. */
export function readHead(r: SizeReader, usual: string): Head {
  const others = r.has(`${usual}.weight`) ? [] : r.keys().filter((key) => isNamedHead(key) && isLayer(r.shape(key)));
  const name = others[0]?.slice(0, -'.weight'.length) ?? usual;
  const shape = r.shape(`${name}.weight`);
  return {
    name,
    classes: shape[0]!,
    ...(!hasMore(r, name) && {bias: false}),
    ...(shape.length === 4 && isLayer(shape) && {pointwise: true}),
  };
}

/** Anything but the weight: a bias, also under a misspelt name, which is then missed. */
const hasMore = (r: SizeReader, name: string): boolean =>
  r.keys().some((key) => key.startsWith(`${name}.`) && key !== `${name}.weight`);

const isNamedHead = (key: string): boolean => key.endsWith('.weight') && HEAD_NAME.test(key.slice(0, key.indexOf('.')));

/** A network's own classifier, or the usual one of the published code. */
export const headOr = (usual: string, {head, classes}: {head?: Head; classes: number}): Head => head ?? {name: usual, classes};

/** Features to logits. */
export const classify = <V>(l: Layers<V>, x: V, {name, classes, bias = true, pointwise = false}: Head): V =>
  l.linear(x, name, {out: classes, bias, pointwise});
