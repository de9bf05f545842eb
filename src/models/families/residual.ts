/** What all ResNets share: a stem, stages of residual blocks, a classifier; and how their sizes are read from shapes. */
import {GpdError} from '../../core/error.js';
import type {StateDict} from '../../core/tensor.js';
import type {Architecture, Convention, Layers, Network} from '../layers.js';
import type {SizeReader} from '../size-reader.js';
import type {ReadOptions, StemChoice} from './family.js';
import {classify, type Head, readHead} from './head.js';

export interface Stem {
  readonly channels: number;
  readonly kernel: number;
  readonly stride: number;
  /** Whether a max pool follows. */
  readonly pool: boolean;
}
export interface ResidualStage {
  readonly depth: number;
  /** Channels inside a block, and after it. */
  readonly inner: number;
  readonly out: number;
  /** Of a bottleneck's 3x3 convolution. */
  readonly groups: number;
}
export interface ResidualSize {
  readonly block: 'basic' | 'bottleneck';
  readonly stem: Stem;
  readonly stages: readonly ResidualStage[];
  /** The name of projection shortcuts; undefined: shortcuts without parameters, He et al.'s option A. */
  readonly projection: 'downsample' | 'shortcut' | undefined;
  /** Blocks that project although nothing changes its size. */
  readonly projected?: ReadonlySet<string>;
  readonly head: Head;
}

export const BOTTLENECK_EXPANSION = 4;

/** Of each kind of block, `planes` channels wide. */
export const outputsOf = (block: ResidualSize['block'], planes: number): number =>
  block === 'basic' ? planes : planes * BOTTLENECK_EXPANSION;

interface Block extends ResidualStage {
  readonly name: string;
  readonly stride: number;
}

function basicBlock<V>(l: Layers<V>, x: V, {name, inner, out, stride}: Block): V {
  let y = l.batchNorm(l.conv(x, `${name}.conv1`, {out: inner, kernel: 3, stride, pad: 1}), `${name}.bn1`);
  y = l.relu(y, `${name}.relu1`);
  return l.batchNorm(l.conv(y, `${name}.conv2`, {out, kernel: 3, pad: 1}), `${name}.bn2`);
}

/** The stride is on the 3x3 convolution: torchvision's v1.5. */
function bottleneck<V>(l: Layers<V>, x: V, {name, inner, out, stride, groups}: Block): V {
  let y = l.relu(l.batchNorm(l.conv(x, `${name}.conv1`, {out: inner, kernel: 1}), `${name}.bn1`), `${name}.relu1`);
  y = l.batchNorm(l.conv(y, `${name}.conv2`, {out: inner, kernel: 3, stride, pad: 1, groups}), `${name}.bn2`);
  y = l.relu(y, `${name}.relu2`);
  return l.batchNorm(l.conv(y, `${name}.conv3`, {out, kernel: 1}), `${name}.bn3`);
}

/** The block's input as it reaches the addition: itself, through a 1x1 convolution, or with every other pixel and more channels. */
function shortcut<V>(l: Layers<V>, x: V, {name, stride, out}: Block, {projection, projected}: ResidualSize): V {
  const same = stride === 1 && l.channels(x) === out && !projected?.has(name);
  if (same) return x;
  if (projection === undefined) return l.subsampleAndPad(x, `${name}.shortcut`, {stride, out});
  return l.batchNorm(l.conv(x, `${name}.${projection}.0`, {out, kernel: 1, stride}), `${name}.${projection}.1`);
}

export function residualNetwork(size: ResidualSize): Network {
  const {channels, kernel, stride, pool} = size.stem;
  const body = size.block === 'basic' ? basicBlock : bottleneck;
  return (l, image) => {
    let x = l.conv(image, 'conv1', {out: channels, kernel, stride, pad: (kernel - 1) / 2});
    x = l.relu(l.batchNorm(x, 'bn1'), 'relu');
    if (pool) x = l.maxPool(x, 'maxpool', {kernel: 3, stride: 2, pad: 1});
    for (const [s, stage] of size.stages.entries()) {
      for (let i = 0; i < stage.depth; i++) {
        const block = {...stage, name: `layer${s + 1}.${i}`, stride: s > 0 && i === 0 ? 2 : 1};
        const y = body(l, x, block);
        x = l.relu(l.add(y, shortcut(l, x, block, size), `${block.name}.add`), `${block.name}.relu`);
      }
    }
    return classify(l, l.flatten(l.globalAveragePool(x, 'avgpool'), 'flatten'), size.head);
  };
}

/** A ResNet of one of the families. */
export const residual = (
  size: ResidualSize,
  own: Pick<Architecture, 'name' | 'family' | 'imageSize' | 'conventions'>,
): Architecture => ({
  ...own,
  network: residualNetwork(size),
  first: 'conv1',
  last: size.head.name,
  classes: size.head.classes,
  refuses: () => undefined,
});

const stems: Readonly<Record<StemChoice, Pick<Stem, 'stride' | 'pool'>>> = {
  '1': {stride: 1, pool: false},
  '1+pool': {stride: 1, pool: true},
  '2': {stride: 2, pool: false},
  '2+pool': {stride: 2, pool: true},
};

/** Neither the stride nor a pool is in any tensor: small kernels look at every pixel of small images, large ones halve twice. */
const usualStem = (kernel: number): StemChoice => (kernel <= SMALL_KERNEL ? '1' : '2+pool');
const SMALL_KERNEL = 3;
/** Whether the first convolution is the 3x3 one of networks for small images. */
export function hasSmallStem(stateDict: StateDict): boolean {
  const stem = stateDict.get('conv1.weight') ?? stateDict.get('conv1.weight_orepa_origin');
  return stem?.shape[2] !== undefined && stem.shape[2] <= SMALL_KERNEL;
}

function readStem(r: SizeReader, asked: StemChoice | undefined): Stem {
  if (!r.has('conv1.weight') && r.has('conv1.0.weight')) {
    throw new GpdError(
      'ARCH_UNKNOWN',
      "it has a deep stem ('conv1.0', …): several convolutions in place of the first, as ResNet-D",
      {
        at: 'conv1.0',
        hint: 'ResNets with one convolution before the first stage are read: export it to ONNX, and gpd eval, verify, bench and export take that',
      },
    );
  }
  const kernel = r.weight('conv1')[2]!;
  return {channels: r.width('conv1'), kernel, ...stems[asked ?? usualStem(kernel)]};
}

/** What was assumed of the stem; nothing of the usual 7x7 one, nor of CIFAR's ResNets of three stages: they have one stem in all code. */
function stemConventions({kernel, stride, pool}: Stem, stages: number, asked: StemChoice | undefined): Convention[] {
  if (asked === undefined && (kernel > SMALL_KERNEL || stages < 4)) return [];
  const value = `${kernel}x${kernel}, stride ${stride}, ${pool ? 'a' : 'no'} max pool`;
  return [{what: 'stem', value, from: asked === undefined ? 'the convention: no tensor says it, see --stem' : '--stem'}];
}

function readStage(r: SizeReader, stage: number, block: ResidualSize['block']): ResidualStage {
  const first = `layer${stage}.0`;
  const inner = r.width(`${first}.conv1`);
  const perGroup = r.weight(`${first}.conv2`)[1] ?? 0;
  return {
    depth: r.children(`layer${stage}.`),
    inner,
    out: r.width(`${first}.${block === 'basic' ? 'conv2' : 'conv3'}`),
    groups: block === 'basic' || perGroup === inner * r.ratio || inner % perGroup !== 0 ? 1 : inner / perGroup,
  };
}

/** The sizes that the tensors have. `head`: the classifier's name in the published code. */
export function readResidual(
  r: SizeReader,
  {stages: stageCount, head: usualHead}: {stages: number; head: string},
  {stem: asked}: ReadOptions,
): {size: ResidualSize; conventions: readonly Convention[]} {
  const block = r.keys().some((key) => key.startsWith('layer1.0.conv3.')) ? 'bottleneck' : 'basic';
  const stages = Array.from({length: stageCount}, (_, s) => readStage(r, s + 1, block));
  const blocks = stages.flatMap(({depth}, s) => Array.from({length: depth}, (_, i) => `layer${s + 1}.${i}`));
  const keys = new Set(r.keys());
  const projects = (name: string) => (shortcutName: string) => keys.has(`${name}.${shortcutName}.0.weight`);
  const projection = (['downsample', 'shortcut'] as const).find((name) => blocks.some((b) => projects(b)(name)));
  const projected = new Set(blocks.filter((name) => projection !== undefined && projects(name)(projection)));
  const stem = readStem(r, asked);
  return {
    size: {block, stem, stages, projection, projected, head: readHead(r, usualHead)},
    conventions: stemConventions(stem, stageCount, asked),
  };
}

/** How much wider than the published ones blocks are inside, and their groups: what tells wide ResNets and ResNeXts apart. */
export interface BlockForm {
  readonly wide: number;
  readonly groups: number;
}
export function blockFormOf({block, stages}: ResidualSize): BlockForm | undefined {
  const [first] = stages;
  const wideOf = ({inner, out}: ResidualStage) => (block === 'basic' ? inner / out : (inner * BOTTLENECK_EXPANSION) / out);
  const isEven = stages.every((stage) => stage.groups === first!.groups && wideOf(stage) === wideOf(first!));
  return first && isEven ? {wide: wideOf(first), groups: first.groups} : undefined;
}

/** In the name of a network that was not published: `-groups32-wide2`. */
export function blockFormSuffix(size: ResidualSize): string {
  const form = blockFormOf(size);
  if (!form) return '-uneven';
  return `${form.groups > 1 ? `-groups${form.groups}` : ''}${form.wide === 1 ? '' : `-wide${form.wide}`}`;
}
