/** Resized images and their gradients. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {expectSame, fallbacksOf, forAll, gradientsOf, startBackend} from './both.js';

beforeAll(startBackend);

const size = fc.integer({min: 1, max: 7});
const cases = fc.record({
  batch: fc.integer({min: 1, max: 2}),
  h: size,
  w: size,
  newH: size,
  newW: size,
  mode: fc.constantFrom('plain', 'corners', 'centres'),
});
const resizes = {nearest: tf.image.resizeNearestNeighbor, bilinear: tf.image.resizeBilinear};

test.each(Object.entries(resizes))('%s', async (_, resize) => {
  await forAll(cases, async ({batch, h, w, newH, newW, mode}) => {
    const program = (x: tf.Tensor) => resize(x as tf.Tensor4D, [newH, newW], mode === 'corners', mode === 'centres');
    await expectSame(program, [{shape: [batch, h, w, 2]}]);
    if (mode === 'corners' && Math.min(h, w) === 1) return; // the cpu kernel looks for a window of infinite size
    if (mode === 'centres' || (resize === resizes.bilinear && h !== w)) return; // the cpu kernel swaps height and width
    await expectSame(gradientsOf(program), [{shape: [1, h, w, 2]}]); // and the other takes the batch of x for that of dy
  });
});

test('nothing of this left onnxruntime', async () => {
  const notes = await fallbacksOf(async () => {
    for (const resize of Object.values(resizes))
      await expectSame(
        gradientsOf((x) => resize(x as tf.Tensor4D, [6, 8])),
        [{shape: [1, 3, 3, 2]}],
      );
  });
  expect(notes).toEqual([]);
});
