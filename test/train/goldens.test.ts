/**
 * The original's own runs, step by step: a few that are fast here. All of them, on both backends, with gradients and final weights:
 * `npm run test:goldens-train`. And its inverse reparameterisation, run by our networks.
 */
import {mkdtempSync, readFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {replayFolder} from '../../src/cli/replay-folder.js';
import {fileSource} from '../../src/core/bytes.js';
import type {Tensor} from '../../src/core/tensor.js';
import {recognise} from '../../src/models/recognise.js';
import {Network} from '../../src/train/networks.js';
import {TensorStore, upload} from '../../src/train/store.js';
import {expectClose, expectLogits} from '../close.js';
import {describeShared, shared} from '../shared.js';
import {startBackend} from '../tfjs/both.js';

const tensorsIn = (path: string) => openCheckpoint(fileSource(path)).stateDict;

describeShared('goldens/train', 'stored runs', () => {
  const runs = [
    ['I_baseline_plain', 'cpu'],
    ['G2_rvt_scratch_mixup_clip_sched', 'cpu'],
    ['D_resnet18_finetune', 'onnxruntime'],
  ] as const;
  test.each(runs)('%s on %s: scalars, gradients, weights', async (name, backend) => {
    const folder = shared('goldens/train', name);
    const out = mkdtempSync(join(tmpdir(), 'gpd-replay-'));
    const [trace, grads, final] = ['trace.json', 'grads.safetensors', 'final.safetensors'].map((file) => join(out, file));
    await replayFolder({folder, compat: 'reference', backend, trace: trace!, grads, final, force: false});
    const {steps} = JSON.parse(readFileSync(trace!, 'utf8'));
    const expected = JSON.parse(readFileSync(join(folder, 'trajectory64.json'), 'utf8'));
    for (const [i, row] of expected.steps.entries()) {
      for (const [key, value] of Object.entries(row)) {
        expectClose(
          [steps[i][key]],
          [value as number],
          {rtol: 1e-3, because: 'float32 through several steps'},
          `${key} of step ${i}`,
        );
      }
    }
    const written = tensorsIn(grads!);
    const norm = expected.steps[0].grad_norm as number;
    for (const [key, source] of tensorsIn(join(folder, 'grads_step1.safetensors'))) {
      const tolerance = {rtol: 1e-4, atol: 1e-6 * norm, because: 'float32; some true gradients are exactly zero'};
      expectClose(written.get(key)!.read().data as Float32Array, source.read().data as Float32Array, tolerance, key);
    }
    const ours = tensorsIn(final!);
    expect([...tensorsIn(join(folder, 'final.safetensors')).keys()].filter((key) => !ours.has(key))).toEqual([]);
  });
});

describeShared('goldens/train/ir', 'inverse reparameterisation', () => {
  const networks = ['resnet18_orepa', 'resnet18_plain', 'mobilenet_orepa', 'rvt_orepa', 'rvt_plain'];
  beforeAll(startBackend);
  describe.each(['cpu', 'onnxruntime'])('on %s', (backend) => {
    beforeAll(() => tf.setBackend(backend));
    test.each(networks)('%s: student and dynamic teacher', (name) => {
      const file = (part: string) => shared('goldens/train/ir', name, part);
      const {r: ratio, size: imageSize, heads} = JSON.parse(readFileSync(file('report.json'), 'utf8'));
      const [stored, logits] = [tensorsIn(file('expanded.safetensors')), tensorsIn(file('logits.safetensors'))];
      const input = logits.get('input')!.read();
      const {arch, form} = recognise(stored, undefined, {ratio, imageSize, heads});
      const store = new TensorStore(new Map([...stored].map(([key, source]): [string, Tensor] => [key, source.read()])));
      const network = new Network({arch, form, imageSize, store, prefix: '', features: 'none'});
      for (const [role, golden] of [
        ['student', 'f64.tiny'],
        ['teacher', 'f64.expanded'],
      ] as const) {
        const run = () => {
          const small = tf.transpose(upload(input), [0, 2, 3, 1]) as tf.Tensor4D;
          const images = tf.image.resizeNearestNeighbor(small, [imageSize, imageSize]); // MobileNet's are stored small
          return network.forward(images, network.parameters(role), 'evaluation').logits;
        };
        expectLogits(tf.tidy(run).dataSync(), logits.get(golden)!.read().data as Float64Array, 1e-5, 'float32', role);
      }
      store.dispose();
    });
  });
});
