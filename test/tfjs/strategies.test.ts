/** Every way to compute something, not only the one that is fastest here, against TensorFlow.js's cpu backend. */
import * as tf from '@tensorflow/tfjs-core';
import {random} from '../../src/core/random.js';
import {tensor} from '../../src/core/tensor.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {loadSyncRuntime} from '../../src/onnx/sync-session.js';
import {record} from '../../src/tfjs/backend/record.js';
import {kernels} from '../../src/tfjs/kernels/index.js';
import {lowerPlan, makePlan} from '../../src/tfjs/lowering/plan.js';
import {Chooser} from '../../src/tfjs/lowering/strategies.js';
import {type LazyData, LazyValue, type Permutation, toPlain} from '../../src/tfjs/lowering/value.js';
import {expectClose} from '../close.js';
import {rounding} from './both.js';

/** Standard normal numbers around `mean`, physically in the order `layout`. */
function leaf(shape: number[], layout: Permutation, seed: number, mean = 0): LazyValue {
  const value = new LazyValue('float32', shape);
  const stream = random(seed);
  value.layout = layout;
  value.data = Float32Array.from({length: shape.reduce((n, d) => n * d, 1)}, () => mean + stream.normal());
  return value;
}

const call = (kernel: string, inputs: readonly LazyValue[], attrs: object = {}): LazyValue =>
  record.call(kernel, kernels.get(kernel)!, inputs, attrs).outputs[0]!;

const tensorOf = ({data, shape, layout}: LazyValue) => tf.tensor(toPlain(data!, shape, layout!), [...shape]);

beforeAll(() => tf.env().set('IS_TEST', true)); // TensorFlow.js prints no advice

const options = {executionProviders: ['cpu'], logSeverityLevel: 4};
/** Of this processor. */
let block: number | undefined;

/** Names of the ways that there are for any part of it. */
function waysOf(wanted: LazyValue): string[] {
  const names = new Set<string>();
  const choose = (_w: string, _i: unknown, _p: unknown, strategies: object) => {
    for (const name of Object.keys(strategies)) names.add(name);
    return Object.keys(strategies)[0]!;
  };
  lowerPlan(makePlan([wanted]), {choose, block});
  return [...names];
}

/** The value computed one way, in TensorFlow.js's order. */
async function computed(wanted: LazyValue, way: string): Promise<LazyData> {
  const plan = makePlan([wanted]);
  const choose = (_w: string, _i: unknown, _p: unknown, strategies: object) =>
    way in strategies ? way : Object.keys(strategies)[0]!;
  const {model, inputNames, outputNames, layouts} = lowerPlan(plan, {choose, block});
  const session = (await loadSyncRuntime()).open(modelBytes(model), options);
  const inputs = plan.leaves.map(({data, shape, layout}, i) => {
    const physical = layout!.map((d) => shape[d]!);
    return [inputNames[i]!, tensor('float32', physical, data as Float32Array<ArrayBuffer>)] as const;
  });
  try {
    const result = session.run(new Map(inputs), outputNames).get(outputNames[0]!)!;
    return toPlain(result.data as LazyData, wanted.shape, layouts[0]!);
  } finally {
    session.close();
  }
}

/** All ways give what is expected. */
async function expectAllWays(wanted: LazyValue, expected: tf.Tensor): Promise<void> {
  const numbers = expected.dataSync();
  for (const way of waysOf(wanted)) expectClose(await computed(wanted, way), numbers, rounding, `${way}:`);
}

beforeAll(async () => {
  tf.setBackend('cpu');
  block = new Chooser(await loadSyncRuntime(), options).block;
});

const NCHW = [0, 3, 1, 2];
/** As TensorFlow.js has filters, as PyTorch does, as both gradients leave them, and two that nothing makes. */
const filterLayouts = [
  [0, 1, 2, 3],
  [3, 2, 0, 1],
  [3, 0, 1, 2],
  [2, 3, 0, 1],
  [2, 0, 1, 3],
  [1, 0, 3, 2],
];
const same = {strides: 1, pad: 'same', dataFormat: 'NHWC', dilations: 1};

test.each(filterLayouts.map((layout) => [layout]))('convolutions and their gradients, the filter as %j', async (...layout) => {
  for (const [size, inputs, outputs] of [
    [3, 16, 32],
    [3, 48, 16],
    [1, 32, 32],
  ] as const) {
    const [x, dy] = [leaf([2, 6, 5, inputs], NCHW, 1), leaf([2, 6, 5, outputs], NCHW, 2)];
    const filter = leaf([size, size, inputs, outputs], layout.flat(), 3);
    const [tx, tdy, tf4] = [x, dy, filter].map(tensorOf) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
    const [dx, dw] = tf.grads((a, w) => tf.conv2d(a as tf.Tensor4D, w as tf.Tensor4D, 1, 'same'))([tx, tf4], tdy);
    await expectAllWays(call('Conv2D', [x, filter], same), tf.conv2d(tx, tf4, 1, 'same'));
    await expectAllWays(call('Conv2DBackpropInput', [dy, filter], {...same, inputShape: x.shape}), dx!);
    await expectAllWays(call('Conv2DBackpropFilter', [x, dy], {...same, filterShape: filter.shape}), dw!);
  }
});

test('small maps of many channels', async () => {
  for (const [size, strides, dilations, pad] of [
    [3, 1, 1, 'same'],
    [3, 1, 2, 'same'],
    [2, 1, 1, 'same'],
    [3, 2, 1, 'same'],
    [3, 1, 1, 'valid'],
    [1, 1, 1, 'same'],
  ] as const) {
    const x = leaf([2, 4, 5, 48], NCHW, 1);
    const filter = leaf([size, size, 48, 64], [0, 1, 2, 3], 2);
    const [tx, tf4] = [x, filter].map(tensorOf) as [tf.Tensor4D, tf.Tensor4D];
    const y = tf.conv2d(tx, tf4, strides, pad, 'NHWC', dilations);
    const attributes = {...same, strides, dilations, pad};
    const forward = call('Conv2D', [x, filter], attributes);
    expect(waysOf(forward)).toContain('columns');
    await expectAllWays(forward, y);
    if (dilations > 1) continue; // TensorFlow.js has no such gradient
    const dy = leaf(y.shape, NCHW, 3);
    const dx = tf.grad((a) => tf.conv2d(a as tf.Tensor4D, tf4, strides, pad))(tx, tensorOf(dy));
    const backward = call('Conv2DBackpropInput', [dy, filter], {...attributes, inputShape: x.shape});
    if (strides === 1) expect(waysOf(backward)).toContain('columns');
    await expectAllWays(backward, dx);
  }
});

test.each(filterLayouts.map((layout) => [layout]))('strides, phase by phase, the filter as %j', async (...layout) => {
  let phases = 0;
  for (const [[height, width], [kH, kW], strides, pad] of [
    [[8, 6], [3, 3], [2, 2], 'same'],
    [[8, 6], [3, 3], [2, 2], 1],
    [[4, 10], [2, 2], [2, 2], 'valid'],
    [[9, 8], [3, 5], [3, 2], 'same'],
    [[6, 8], [4, 3], [1, 2], 'same'],
    [[8, 8], [7, 7], [2, 2], 3],
    [[7, 8], [3, 3], [2, 2], 'same'],
    [[8, 8], [1, 1], [2, 2], 'same'],
    [[8, 8], [3, 3], [2, 2], 2],
  ] as [[number, number], [number, number], [number, number], 'same' | 'valid' | number][]) {
    const filter = leaf([kH, kW, 32, 48], layout.flat(), 1);
    const tx = tf.zeros([2, height, width, 32]) as tf.Tensor4D;
    const tf4 = tensorOf(filter) as tf.Tensor4D;
    const rounded = typeof pad === 'number' && {dimRoundingMode: 'floor' as const};
    const convolve = (a: tf.Tensor) =>
      tf.conv2d(a as tf.Tensor4D, tf4, strides, pad, 'NHWC', 1, rounded ? rounded.dimRoundingMode : undefined);
    const dy = leaf(convolve(tx).shape, NCHW, 2);
    const attributes = {...same, strides, pad, ...rounded, inputShape: tx.shape};
    const backward = call('Conv2DBackpropInput', [dy, filter], attributes);
    if (waysOf(backward).includes('phases')) phases++;
    await expectAllWays(backward, tf.grad(convolve)(tx, tensorOf(dy)));
  }
  if (block !== undefined) expect(phases).toBe(6);
});

/** The convolution, and its gradients of x and of the filter. */
const [FORWARD, OF_X, OF_FILTER] = [0, 1, 2];
test('three taps in fewer products', async () => {
  for (const [i, [[height, width], [kH, kW], pad, saves]] of (
    [
      [[8, 4], [3, 3], 'same', [FORWARD, OF_X, OF_FILTER]],
      [[7, 15], [3, 3], 'same', [FORWARD, OF_X, OF_FILTER]],
      [[14, 7], [3, 1], 'same', [FORWARD, OF_X]],
      [[9, 10], [3, 2], 'valid', [FORWARD]],
      [[3, 16], [2, 3], 'valid', [OF_FILTER]],
      [
        [6, 6],
        [3, 3],
        [2, 2],
        [FORWARD, OF_FILTER],
      ],
    ] as [[number, number], [number, number], 'same' | 'valid' | [number, number], number[]][]
  ).entries()) {
    const x = leaf([2, height, width, 32], NCHW, 1, 0.5);
    const filter = leaf([kH, kW, 32, 16], filterLayouts[i]!, 2);
    const [tx, tf4] = [x, filter].map(tensorOf) as [tf.Tensor4D, tf.Tensor4D];
    const padding = typeof pad === 'string' ? pad : ([[0, 0], [...pad], [...pad], [0, 0]] as tf.backend_util.ExplicitPadding);
    const y = tf.conv2d(tx, tf4, 1, padding);
    const dy = leaf(y.shape, NCHW, 3);
    const [dx, dw] = tf.grads((a, w) => tf.conv2d(a as tf.Tensor4D, w as tf.Tensor4D, 1, padding))([tx, tf4], tensorOf(dy));
    const attributes = {...same, pad: padding};
    const forward = call('Conv2D', [x, filter], attributes);
    const backward = call('Conv2DBackpropInput', [dy, filter], {...attributes, inputShape: x.shape});
    const ofFilter = call('Conv2DBackpropFilter', [x, dy], {...attributes, filterShape: filter.shape});
    const winograd = [forward, backward, ofFilter].map((v) => waysOf(v).filter((way) => way.startsWith('winograd')));
    const ofBlocks = ['winograd', 'winogradBlocks'];
    const all = [['winograd'], ['winograd'], ofBlocks].map((names, i) => (saves.includes(i) ? names : []));
    if (block !== undefined) expect(winograd).toEqual(all);
    await expectAllWays(forward, y);
    await expectAllWays(backward, dx!);
    await expectAllWays(ofFilter, dw!);
  }
});

test('3x3 in a quarter of the products, against the first way', async () => {
  for (const [i, [[height, width], pad]] of (
    [
      [[4, 4], 'same'],
      [[7, 8], 'same'],
      [[16, 15], 'same'],
      [[6, 10], 'valid'],
      [
        [9, 13],
        [1, 0],
      ],
      [
        [4, 7],
        [0, 2],
      ],
    ] as [[number, number], 'same' | 'valid' | [number, number]][]
  ).entries()) {
    const x = leaf([2, height, width, 80], i % 2 === 0 ? NCHW : [1, 2, 0, 3], 1, 0.5);
    const filter = leaf([3, 3, 80, 64], filterLayouts[i]!, 2);
    const padding = typeof pad === 'string' ? pad : ([[0, 0], pad, pad, [0, 0]] as tf.backend_util.ExplicitPadding);
    const attributes = {...same, pad: padding};
    const y = call('Conv2D', [x, filter], attributes);
    const dy = leaf([...y.shape], NCHW, 3);
    const dx = call('Conv2DBackpropInput', [dy, filter], {...attributes, inputShape: x.shape});
    const dw = call('Conv2DBackpropFilter', [x, dy], {...attributes, filterShape: filter.shape});
    for (const value of [y, dx, dw]) {
      const [first] = waysOf(value);
      expect(waysOf(value)).toContain('winogradTiles');
      expectClose(await computed(value, 'winogradTiles'), await computed(value, first!), rounding);
    }
  }
});

test('3x3 in a quarter of the products, one after the other', async () => {
  const [x, dy] = [leaf([3, 8, 4, 64], NCHW, 1, 0.5), leaf([3, 8, 4, 96], NCHW, 2)];
  const [first, second] = [leaf([3, 3, 64, 64], [0, 1, 2, 3], 3), leaf([3, 3, 64, 96], [3, 2, 0, 1], 4)];
  const y = call('Conv2D', [x, first], same);
  const between = call('Conv2DBackpropInput', [dy, second], {...same, inputShape: y.shape});
  const results = [
    call('Conv2D', [y, second], same),
    call('Conv2DBackpropInput', [between, first], {...same, inputShape: x.shape}),
    call('Conv2DBackpropFilter', [y, dy], {...same, filterShape: second.shape}),
    call('Conv2DBackpropFilter', [x, between], {...same, filterShape: first.shape}),
  ];
  for (const value of results) {
    const direct = await computed(value, waysOf(value)[0]!);
    expectClose(await computed(value, 'winogradTiles'), direct, {
      ...rounding,
      because: 'two convolutions, one after the other',
    });
  }
});

test('gradients of filters where images are channels, against the first way', async () => {
  if (block === undefined) return; // a processor without blocks
  for (const [batch, [height, width], [kH, kW], [inputs, outputs], strides, dilations, pad] of [
    [block, [6, 5], [3, 3], [2 * block, block], 1, 1, 'same'], // one group of images
    [2 * block, [4, 7], [3, 3], [block, 2 * block], 1, 1, 'same'],
    [4 * block, [5, 4], [3, 2], [3, block], 1, 1, 'valid'],
    [2 * block, [8, 8], [3, 3], [block, block], 2, 1, 'same'],
    [2 * block, [7, 9], [3, 3], [5, block], 2, 1, [1, 1]],
    [2 * block, [9, 8], [1, 1], [block, block], 2, 1, 'valid'], // a row that no window reaches
    [2 * block, [7, 8], [3, 3], [block, block], 1, [2, 1], 'valid'],
    [2 * block, [5, 6], [3, 3], [block, block], 1, 1, [2, 0]],
  ] as [number, [number, number], [number, number], [number, number], number, number | number[], 'same' | [number, number]][]) {
    const x = leaf([batch, height, width, inputs], NCHW, 1, 0.5);
    const padding = typeof pad === 'string' ? pad : [[0, 0], pad, pad, [0, 0]];
    const attributes = {...same, strides, dilations, pad: padding, ...(typeof pad !== 'string' && {dimRoundingMode: 'floor'})};
    const filterShape = [kH, kW, inputs, outputs];
    const y = call('Conv2D', [x, leaf(filterShape, [0, 1, 2, 3], 2)], attributes);
    const dw = call('Conv2DBackpropFilter', [x, leaf([...y.shape], NCHW, 3)], {...attributes, filterShape});
    expect(waysOf(dw)).toContain('correlateInBlocks');
    const taps = await computed(dw, 'taps');
    expectClose(await computed(dw, 'correlateInBlocks'), taps, rounding, `${batch} images, ${filterShape}:`);
  }
});

test('images of few channels, into blocks', async () => {
  for (const channels of [1, 3, 15]) {
    for (const layout of filterLayouts) {
      const [x, filter] = [leaf([2, 9, 8, channels], [0, 1, 2, 3], 1), leaf([5, 3, channels, 32], layout, 2)];
      const expected = tf.conv2d(tensorOf(x) as tf.Tensor4D, tensorOf(filter) as tf.Tensor4D, 2, 'same');
      await expectAllWays(call('Conv2D', [x, filter], {...same, strides: 2}), expected);
    }
  }
});

test('sums of products by channel, of numbers far from zero too', async () => {
  for (const mean of [0, 100]) {
    for (const layout of [NCHW, [3, 0, 1, 2], [0, 1, 2, 3]]) {
      const [a, b] = [leaf([3, 7, 5, 4], layout, 1, mean), leaf([3, 7, 5, 4], layout, 2)];
      const [ta, tb] = [tensorOf(a), tensorOf(b)];
      await expectAllWays(
        call('Sum', [call('Multiply', [a, b])], {axis: [0, 1, 2], keepDims: false}),
        tf.sum(tf.mul(ta, tb), [0, 1, 2]),
      );
      await expectAllWays(
        call('Mean', [call('Square', [a])], {axis: [0, 1, 2], keepDims: true}),
        tf.mean(tf.square(ta), [0, 1, 2], true),
      );
      await expectAllWays(
        call('Mean', [call('Multiply', [a, b])], {axis: [0, 2, 3], keepDims: false}),
        tf.mean(tf.mul(ta, tb), [0, 2, 3]),
      );
    }
  }
});

test('a product that is needed elsewhere is there', async () => {
  const [a, b] = [leaf([3, 7, 5, 4], NCHW, 1), leaf([3, 7, 5, 4], NCHW, 2)];
  const product = call('Multiply', [a, b]);
  const centred = call('Sub', [product, call('Mean', [product], {axis: [0, 1, 2], keepDims: false})]);
  const expected = tf.mul(tensorOf(a), tensorOf(b));
  await expectAllWays(centred, tf.sub(expected, tf.mean(expected, [0, 1, 2])));
});

test('a scale and an offset by channel', async () => {
  const x = leaf([3, 7, 5, 4], NCHW, 1, 10);
  const [scale, offset] = [leaf([4], [0], 2), leaf([4], [0], 3)];
  const expected = tf.add(tensorOf(offset), tf.mul(tensorOf(x), tensorOf(scale)));
  await expectAllWays(call('Add', [offset, call('Multiply', [x, scale])]), expected);
  await expectAllWays(call('Add', [call('Multiply', [scale, x]), offset]), expected);
});

test('a reshape in another order of dimensions', async () => {
  const x = leaf([2, 3, 5, 12], NCHW, 1);
  for (const shape of [
    [2, 3, 5, 4, 3],
    [2, 15, 12],
    [6, 5, 12],
    [2, 1, 3, 5, 12, 1],
    [30, 12],
    [360],
    [2, 3, 5, 2, 1, 6],
    [2, 5, 3, 12],
  ]) {
    const kept = call('Transpose', [record.reshape(leaf([2, 3, 5, 12], NCHW, 1), shape)], {
      perm: shape.map((_, d) => shape.length - 1 - d),
    });
    await expectAllWays(kept, tf.transpose(tf.reshape(tensorOf(x), shape)));
  }
});
