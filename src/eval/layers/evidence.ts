/** What tests of a difference are given, and what they say. */
import type {Tensor} from '../../core/tensor.js';
import type {SessionOptions} from '../../onnx/session.js';
import type {Subject} from '../subject.js';
import type {Constants} from './constants.js';
import type {LayerValue} from './layer-values.js';
import type {MatchedPair} from './match-layers.js';
import type {Planes} from './planes.js';

/** What a difference looks like: `kind` for programs, `text` for people. */
export interface Diagnosis {
  kind:
    | 'activation'
    | 'attributes'
    | 'batch-norm'
    | 'bias'
    | 'channels-permuted'
    | 'epsilon'
    | 'operators'
    | 'other-layer'
    | 'padding'
    | 'precision'
    | 'scale'
    | 'shape'
    | 'train-mode'
    | 'transposed'
    | 'weights';
  text: string;
}

/** A model, and what can be compared of it. */
export interface DiagnosedSide {
  readonly subject: Subject;
  readonly layers: readonly LayerValue[];
}

/** Around the pair: both models, and what is known of the layers before. */
export interface DiagnosisContext {
  readonly a: DiagnosedSide;
  readonly b: DiagnosedSide;
  readonly pairs: readonly MatchedPair[];
  readonly images: readonly Tensor<'float32'>[];
  /** How far the layers before it are apart, relative to the largest number. */
  readonly agreesTo: number;
  readonly session?: SessionOptions | undefined;
}

/** What every test is given. */
export interface LayerEvidence extends DiagnosisContext {
  readonly pair: MatchedPair;
  /** What the messages call it. */
  readonly layer: string;
  /** Undefined where the shapes differ. */
  readonly planes: Planes | undefined;
  /** Of both chains. */
  readonly constants: Constants;
}
