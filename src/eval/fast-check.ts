/** What inexact preparation costs: one model on the same images, prepared both ways. */

import {argmax} from '../core/compare-outputs.js';
import type {Batch} from '../data/loader.js';
import type {SessionOptions} from '../onnx/session.js';
import {runImages} from './logits.js';
import type {Subject} from './subject.js';

export interface FastCheck {
  model: string;
  images: number;
  /** Percent of the images with the same top class; null where outputs are not finite. */
  agreement: number | null;
  /** Images with NaN or infinite outputs, prepared either way. */
  nonFinite: number;
  /** Top-1 in percent, prepared exactly and fast; null where nothing has a label. */
  top1Exact: number | null;
  top1Fast: number | null;
}

interface Answers {
  /** Image → top class and label. */
  readonly byImage: Map<number, {top: number; label: number; finite: boolean}>;
}

export async function checkFast(
  subject: Subject,
  session: SessionOptions,
  batches: (fast: boolean) => AsyncIterable<Batch>,
): Promise<FastCheck> {
  const open = await subject.open(session);
  try {
    const answer = async (fast: boolean): Promise<Answers> => {
      const byImage: Answers['byImage'] = new Map();
      for await (const {images, indices, labels} of batches(fast)) {
        if (indices.length === 0) continue;
        const logits = await runImages(open, subject, images);
        for (const [i, image] of indices.entries()) {
          const own = logits.subarray(i * subject.classes, (i + 1) * subject.classes);
          byImage.set(image, {top: argmax(own), label: labels[i]!, finite: own.every(Number.isFinite)});
        }
      }
      return {byImage};
    };
    return compareAnswers(subject.name, await answer(false), await answer(true));
  } finally {
    await open.close();
  }
}

function compareAnswers(model: string, exact: Answers, fast: Answers): FastCheck {
  const pairs = [...exact.byImage].flatMap(([image, own]) => {
    const other = fast.byImage.get(image);
    return other ? [[own, other] as const] : [];
  });
  const nonFinite = pairs.filter(([own, other]) => !own.finite || !other.finite).length;
  const labelled = pairs.filter(([own]) => own.label >= 0);
  const percentOf = (n: number, of: number) => Number(((100 * n) / of).toFixed(6));
  const top1 = (which: 0 | 1) =>
    labelled.length === 0 || nonFinite > 0
      ? null
      : percentOf(labelled.filter((p) => p[which].top === p[which].label).length, labelled.length);
  const same = pairs.filter(([own, other]) => own.top === other.top).length;
  return {
    model,
    images: pairs.length,
    nonFinite,
    agreement: nonFinite > 0 ? null : percentOf(same, Math.max(1, pairs.length)),
    top1Exact: top1(0),
    top1Fast: top1(1),
  };
}
