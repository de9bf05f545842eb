/** `LayerOps` as ONNX nodes, one plain node or a short idiom a layer. Layout is ONNX's own: maps [N, C, H, W], kernels [O, I/g, H, W]. */
import type {AttributeValues, Graph, Value} from '../onnx/graph.js';
import {intsInitializer, scalarInitializer} from '../onnx/tensor-ops.js';
import type {Window} from './layers.js';
import type {AttentionSize, LayerOps} from './walk.js';

const pads = (pad: number) => [pad, pad, pad, pad];
const window = ({kernel, stride, pad}: Window): AttributeValues => ({
  kernel_shape: [kernel, kernel],
  strides: [stride, stride],
  pads: pads(pad),
});

export function onnxLayers(graph: Graph, opset: number): LayerOps<Value> {
  const op = (name: string, opType: string, inputs: readonly (Value | undefined)[], attributes: AttributeValues = {}) =>
    graph.op(opType, inputs, attributes, {name});
  const reshape = (x: Value, shape: readonly number[], name: string) => op(name, 'Reshape', [x, intsInitializer(graph, shape)]);
  const transpose = (x: Value, perm: readonly number[], name: string) => op(name, 'Transpose', [x], {perm});
  /** Its axes moved from an attribute to an input in opset 18. */
  const reduceMean = (x: Value, axis: number, name: string) =>
    opset >= 18
      ? op(name, 'ReduceMean', [x, intsInitializer(graph, [axis])], {keepdims: 0})
      : op(name, 'ReduceMean', [x], {axes: [axis], keepdims: 0});

  /** q, k, v as [1, N, (blocks,) heads, T, headSize] from [N, T, blocks · 3 · heads · headSize]. */
  function splitHeads(qkv: Value, {heads, headSize, blocks}: AttentionSize, name: string) {
    const [sizes, perm] =
      blocks > 1
        ? [
            [blocks, 3],
            [3, 0, 2, 4, 1, 5],
          ]
        : [[3], [2, 0, 3, 1, 4]];
    const parts = reshape(qkv, [0, 0, ...sizes!, heads, headSize], `${name}.split`);
    const leading = transpose(parts, perm!, `${name}.heads`);
    return graph.node('Split', [leading, intsInitializer(graph, [1, 1, 1])], {axis: 0}, {name: `${name}.qkv.parts`, outputs: 3})
      .outputs;
  }

  return {
    conv: (x, {weight, bias}, m, groups) =>
      op(m.name, 'Conv', bias ? [x, weight, bias] : [x, weight], {
        kernel_shape: m.kernel,
        strides: [m.stride, m.stride],
        pads: pads(m.pad),
        group: groups,
      }),
    batchNorm: (x, s, name) => op(name, 'BatchNormalization', [x, s.gamma, s.beta, s.mean, s.variance], {epsilon: s.eps}),
    relu: (x, name) => op(name, 'Relu', [x]),
    relu6: (x, scale, name) => op(name, 'Clip', [x, scalarInitializer(graph, 0), scalarInitializer(graph, 6 / scale)]),
    gelu(x, scale, name) {
      if (scale === 1) return op(name, 'Gelu', [x]);
      const scaled = op(name, 'Gelu', [op(`${name}.times`, 'Mul', [x, scalarInitializer(graph, scale)])]);
      return op(`${name}.over`, 'Div', [scaled, scalarInitializer(graph, scale)]);
    },
    maxPool: (x, w, name) => op(name, 'MaxPool', [x], window(w)),
    averagePool: (x, w, name) => op(name, 'AveragePool', [x], window(w)),
    globalAveragePool: (x, name) => op(name, 'GlobalAveragePool', [x]),
    flatten: (x, name) => op(name, 'Flatten', [x]),
    subsample: (x, stride, name) => {
      const [from, to] = [
        intsInitializer(graph, [0, 0]),
        intsInitializer(graph, [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]),
      ];
      return op(`${name}.subsample`, 'Slice', [
        x,
        from,
        to,
        intsInitializer(graph, [2, 3]),
        intsInitializer(graph, [stride, stride]),
      ]);
    },
    padChannels(x, {before, after, blocks, shape: [channels, height, width]}, name) {
      if (blocks === 1) return op(name, 'Pad', [x, intsInitializer(graph, [0, before, 0, 0, 0, after, 0, 0])]);
      const each = channels! / blocks;
      const grouped = reshape(x, [0, blocks, each, height!, width!], `${name}.blocks`);
      const padded = op(`${name}.pad`, 'Pad', [grouped, intsInitializer(graph, [0, 0, before, 0, 0, 0, 0, after, 0, 0])]);
      return reshape(padded, [0, blocks * (each + before + after), height!, width!], name);
    },
    add: (a, b, name) => op(name, 'Add', [a, b]),
    linear(x, {weight, bias}, m, rank) {
      if (rank === 2) return op(m.name, 'Gemm', bias ? [x, weight, bias] : [x, weight], {transB: 1});
      const product = op(`${m.name}.matmul`, 'MatMul', [x, transpose(weight, [1, 0], `${m.name}/Transpose`)]);
      return bias ? op(m.name, 'Add', [product, bias]) : product;
    },
    layerNorm: (x, p, name) => op(name, 'LayerNormalization', [x, p.gamma, p.beta], {axis: -1, epsilon: p.eps}),
    attention(qkv, size, mask, name) {
      const [q, k, v] = splitHeads(qkv, size, name) as [Value, Value, Value];
      const rank = q.dims.length;
      const swapLast = [...Array(rank - 2).keys(), rank - 1, rank - 2];
      const raw = op(`${name}.scores`, 'MatMul', [q, transpose(k, swapLast, `${name}.keys`)]);
      let scores = op(`${name}.scaled`, 'Mul', [raw, scalarInitializer(graph, size.scale)]);
      if (mask) {
        const cut = [size.heads, size.tokens, size.tokens];
        const bounds = [
          [0, 0],
          [size.tokens, size.tokens],
          [1, 2],
        ].map((b) => intsInitializer(graph, b));
        const used = mask.dims[1] === size.tokens ? mask : op(`${name}/Slice`, 'Slice', [mask, ...bounds]);
        scores = op(`${name}.masked`, 'Mul', [
          scores,
          op(`${name}/Sigmoid`, 'Sigmoid', [reshape(used, cut, `${name}/Reshape`)]),
        ]);
      }
      const attended = op(`${name}.values`, 'MatMul', [op(`${name}.softmax`, 'Softmax', [scores], {axis: -1}), v]);
      const order = size.blocks > 1 ? [1, 4, 0, 2, 3, 5] : [1, 3, 0, 2, 4];
      const merged = transpose(attended, order, `${name}.merge`);
      return reshape(merged, [0, 0, size.blocks * size.heads * size.headSize], name);
    },
    tokens(x, [channels, tokens], name) {
      return transpose(reshape(x, [0, channels, tokens], `${name}.flat`), [0, 2, 1], name);
    },
    map(x, shape, name) {
      return reshape(transpose(x, [0, 2, 1], `${name}.channels`), [0, ...shape], name);
    },
    meanOfTokens: (x, name) => reduceMean(x, 1, name),
  };
}
