/** What a family of networks is: everything that the toolkit knows of it stands in its own file, as plain data and pure functions. */
import type {StateDict} from '../../core/tensor.js';
import type {RecipeName} from '../../data/recipe.js';
import type {Architecture} from '../layers.js';
import type {SizeReader} from '../size-reader.js';
import type {Initialiser} from './initialisers.js';

/** A network that was published: how to build it, and its size, by which the description is checked. */
export interface PublishedNetwork {
  /** Parameters with the published number of classes. */
  readonly params: number;
  readonly build: (classes?: number) => Architecture;
}

/** Which defaults of `gpd train` apply: those of the original's CNN program, of its RVT program, or ours for images of 32 pixels. */
export type TrainingDefaults = 'cnn' | 'rvt' | 'cifar';

/** Stride of the first convolution of a ResNet, and whether a max pool follows. */
export const stemChoices = ['1', '1+pool', '2', '2+pool'] as const;
export type StemChoice = (typeof stemChoices)[number];

/** What is said of a network that no tensor says. */
export interface ReadOptions {
  /** Attention heads of each stage. */
  readonly heads?: readonly number[] | undefined;
  readonly stem?: StemChoice | undefined;
}

export interface Family {
  /** As `--arch` and the metadata name it. Descriptions of its networks of unpublished sizes begin with it. */
  readonly name: string;
  /** As messages name it. */
  readonly title: string;
  /**
   * Layers that every member has, whatever became of its tensors: their names, the keys' without the last part. The first family in
   * the table whose layers are all there is the one.
   */
  readonly signature: readonly string[];
  /** Which of several families of one signature: by what shapes say. Default: any. */
  readonly fits?: (stateDict: StateDict) => boolean;
  /** The stem's convolution and its published width: how the ratio shows in a network of published size. */
  readonly stem: {readonly module: string; readonly width: number};
  /** The network with the sizes that the tensors have. Throws KEY_MISSING, SHAPE_MISMATCH, ARCH_AMBIGUOUS. */
  read(r: SizeReader, options?: ReadOptions): Architecture;
  readonly published: Readonly<Record<string, PublishedNetwork>>;
  /** How images are prepared for it. */
  readonly recipe: RecipeName;
  readonly training: TrainingDefaults;
  /**
   * The layers whose outputs ReviewKD compares, shallow to deep, the pooled vector last. `layers` are the network's own, in order;
   * `activated`: after the activations, as the original's ResNets have them.
   */
  features(layers: readonly string[], activated: boolean): readonly string[];
  /** Channels inside ReviewKD's fusion modules. `deepest`: channels of the student's last map. */
  reviewKdWidth(deepest: number): number;
  /** How its usual PyTorch code draws fresh weights and biases. */
  readonly initialise: Initialiser;
  /** A key under timm's names, where they are others. */
  readonly timmName?: (key: string) => string;
}
