/** The numbers of a Constant node, whichever of its attributes holds them. https://onnx.ai/onnx/operators/onnx__Constant.html */
import {float32, int64, type Tensor, tensor} from '../core/tensor.js';
import type {Attribute} from './graph.js';

/** Undefined for text, and for sparse tensors, which no attribute that is read here holds. */
export function constantTensor(attributes: ReadonlyMap<string, Attribute>): Tensor | undefined {
  const [name, attribute] = [...attributes][0] ?? [];
  switch (`${name} ${attribute?.kind}`) {
    case 'value tensor':
      return attribute!.value as Tensor;
    case 'value_float float':
      return float32([], [attribute!.value as number]);
    case 'value_floats floats':
      return float32([(attribute!.value as number[]).length], attribute!.value as number[]);
    case 'value_int int':
      return tensor('int64', [], BigInt64Array.of(BigInt(attribute!.value as number)));
    case 'value_ints ints':
      return int64([(attribute!.value as number[]).length], attribute!.value as number[]);
    default:
      return undefined;
  }
}
