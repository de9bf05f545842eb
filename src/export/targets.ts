/**
 * THE table of targets: what a runtime reads, and what it cannot. `checkTarget` holds a finished graph against it, so that nothing is
 * written that the runtime refuses; `targetNotes` says what it reads but does not gain from. Opset and IR version are those that every
 * current release of the runtime reads.
 */
import {GpdError} from '../core/error.js';
import type {Graph, Model, Node, Value} from '../onnx/graph.js';
import type {Int8Options} from './precision.js';
import type {ResizerName} from './preprocess/resize.js';
import {constantAxes, noAntialias, noPoolIndices, smallSortedTopK, symmetricInt8, type TargetRule} from './target-rules.js';

export interface Target {
  readonly description: string;
  readonly opset: number;
  /** What a model of a newer opset is told. */
  readonly newer: string;
  readonly irVersion: number;
  /** Used unless a batch is asked for. */
  readonly batch: number | 'dynamic';
  /** How images are resized inside the model, or why they cannot be. */
  readonly resizer: ResizerName | {readonly refused: string};
  /** How its images differ from those of `gpd eval`, where the resizer's own description does not hold for it. */
  readonly resizerNote?: string;
  /** What int8 has to be for it. */
  readonly int8: Pick<Int8Options, 'activations' | 'biasType'> & {readonly note?: string};
  /** Operators that its parser does not have, with a way out where there is one. Undefined: it has all. */
  readonly lacks: Readonly<Record<string, string>>;
  /** Domains of operators that it reads. Undefined: the runtime decides by what it was built with. */
  readonly domains: readonly string[] | undefined;
  /** Types of tensors that it does not have. */
  readonly lacksTypes: readonly string[];
  readonly rules: readonly TargetRule[];
  /** Its accelerators take nodes of fixed shapes alone: `CoreML leaves`, of the others. */
  readonly fixedShapes: string | undefined;
  /** Operators that its accelerator has: the CPU runs the others. Undefined: nothing is said about it. */
  readonly accelerates: ReadonlySet<string> | undefined;
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');
const OTHER_TARGET = 'choose another target, or leave out what needs it';
const lacking = (text: string): Record<string, string> => Object.fromEntries(words(text).map((name) => [name, OTHER_TARGET]));

/** Everything that onnxruntime itself runs. */
const onnxruntime = {
  newer: 'older releases of onnxruntime than the newest may not read it',
  int8: {},
  lacks: {},
  domains: undefined,
  lacksTypes: [],
  rules: [],
  fixedShapes: undefined,
  accelerates: undefined,
} as const satisfies Partial<Target>;

const STATIC_INT8 = 'give --precision int8 with --calibrate, or fp16';

/** "N" in docs/operators.md of https://github.com/onnx/onnx-tensorrt at 8.6-GA or 10.1-GA. */
const tensorrtLacks = {
  ...lacking(`AffineGrid Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow CenterCropPad Col2Im Compress
    ConcatFromSequence ConvInteger DFT Det HammingWindow HannWindow Hardmax ImageDecoder MaxRoiPool MaxUnpool MelWeightMatrix
    Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement OptionalHasElement QLinearConv QLinearMatMul RegexFullMatch STFT
    SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap SoftmaxCrossEntropyLoss
    SplitToSequence StringConcat StringNormalizer StringSplit TfIdfVectorizer Unique`),
  DynamicQuantizeLinear: STATIC_INT8,
  MatMulInteger: STATIC_INT8,
};
/** Without a supported version in https://github.com/openvinotoolkit/openvino, src/frontends/onnx/docs/supported_ops.md. */
const openvinoLacks =
  lacking(`Bernoulli DeformConv Det ImageDecoder LpPool MaxUnpool MelWeightMatrix Optional OptionalGetElement
  OptionalHasElement RegexFullMatch SequenceMap StringConcat StringNormalizer StringSplit TfIdfVectorizer`);
/** Both lists of https://onnxruntime.ai/docs/execution-providers/CoreML-ExecutionProvider.html, NeuralNetwork and MLProgram; constants. */
const coremlHas = new Set(
  words(`Add ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv ConvTranspose Cos DepthToSpace Div Elu Erf Exp Flatten
    GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool GridSample GroupNormalization HardSigmoid Identity InstanceNormalization LRN
    LayerNormalization LeakyRelu MatMul Max MaxPool Mul PRelu Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape Resize
    Round Shape Sigmoid Sin Slice Softmax Softplus Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze`),
);

export const targets = {
  // https://onnxruntime.ai/docs/reference/compatibility.html: opset 20 and IR 9 since 1.17. Float64 products are slow in WebAssembly.
  'ort-web': {
    ...onnxruntime,
    description: 'onnxruntime-web 1.17 and later',
    opset: 20,
    irVersion: 9,
    batch: 'dynamic',
    resizer: 'resize-op',
  },
  // https://onnxruntime.ai/docs/tutorials/mobile: packages with all operators. Shapes: docs/tutorials/mobile/helpers/make-dynamic-shape-fixed.
  'ort-mobile': {
    ...onnxruntime,
    description: 'onnxruntime for Android and iOS, 1.17 and later',
    opset: 18,
    irVersion: 8,
    batch: 1,
    resizer: 'resize-op',
    fixedShapes: 'NNAPI, XNNPACK and CoreML leave',
  },
  // https://github.com/onnx/onnx-tensorrt/blob/8.6-GA/docs/operators.md: up to opset 17; Resize without antialias; DOUBLE is cast to
  // FLOAT, which has no room for sums of 30 bits; tensors of FLOAT32, FLOAT16, INT8, BOOL, with limits INT32, INT64 and DOUBLE.
  // Newer opsets: https://docs.nvidia.com/deeplearning/tensorrt/latest/reference/onnx-opset-guide.html.
  tensorrt: {
    description: 'TensorRT 8.6 and later',
    opset: 17,
    newer: 'TensorRT 8.6 reads up to 17, 10.0 up to 20, 11 up to 25',
    irVersion: 8,
    batch: 'dynamic',
    resizer: {refused: 'TensorRT has neither an antialiased Resize nor float64: prepare images before it, as gpd eval does'},
    int8: {
      activations: 'symmetric',
      biasType: 'float32',
      note: 'int8 around zero with float32 biases: TensorRT’s parser takes nothing else. Latency here is that of onnxruntime’s CPU, which may compute such layers in float32',
    },
    lacks: tensorrtLacks,
    domains: [''],
    lacksTypes: ['string', 'uint8', 'uint16', 'uint32', 'uint64', 'int16'],
    rules: [symmetricInt8, noAntialias, noPoolIndices, smallSortedTopK, constantAxes],
    fixedShapes: undefined,
    accelerates: undefined,
  },
  openvino: {
    description: 'OpenVINO 2024 and later',
    opset: 17,
    newer: 'see supported_ops.md of your release for the operators that changed',
    irVersion: 8,
    batch: 'dynamic',
    resizer: 'matrices',
    // Seen with OpenVINO 2026.4 on a CPU: 58, 6, 1 and 0 of 3,072 numbers, for photographs of 40 to 1,500 pixels.
    resizerNote: 'OpenVINO computes float64 in float32: up to 2 % of the pixels differ by 1 of 255 from those of gpd eval',
    int8: {},
    lacks: openvinoLacks,
    domains: ['', 'com.microsoft', 'org.openvinotoolkit'],
    lacksTypes: ['string'],
    rules: [noAntialias],
    fixedShapes: undefined,
    accelerates: undefined,
  },
  // https://onnxruntime.ai/docs/execution-providers/CoreML-ExecutionProvider.html: fixed shapes; what it does not take, the CPU runs.
  coreml: {
    ...onnxruntime,
    description: 'the CoreML provider of onnxruntime',
    opset: 18,
    irVersion: 8,
    batch: 1,
    resizer: 'resize-op',
    fixedShapes: 'CoreML leaves',
    accelerates: coremlHas,
  },
} as const satisfies Record<string, Target>;
export type TargetName = keyof typeof targets;
export const targetNames = Object.keys(targets) as TargetName[];

/** How images are resized for a target. Throws EXPORT_REFUSED where they cannot be. */
export function resizerFor(name: TargetName): ResizerName {
  const {resizer}: Target = targets[name];
  if (typeof resizer === 'string') return resizer;
  throw new GpdError('EXPORT_REFUSED', `--target ${name}: ${resizer.refused}`, {
    hint: 'leave --embed-preprocessing out for it',
  });
}

/** Of a graph and of the bodies of its loops and branches. */
function* nodesOf(graph: Graph): Generator<Node> {
  for (const node of graph.nodes) {
    yield node;
    for (const attribute of node.attributes.values()) if (attribute.kind === 'graph') yield* nodesOf(attribute.value);
  }
}

interface Finding {
  readonly at: Node | Value;
  readonly problem: string;
  readonly hint: string;
}

function* findings({graph}: Model, target: Target): Generator<Finding> {
  const wrongType = (value: Value | undefined): Finding[] =>
    value && target.lacksTypes.includes(value.dtype)
      ? [
          {
            at: value,
            problem: `it has no tensors of ${typeNames[value.dtype] ?? value.dtype}`,
            hint: typeHints[value.dtype] ?? OTHER_TARGET,
          },
        ]
      : [];
  for (const node of nodesOf(graph)) {
    const missing = node.domain === '' ? target.lacks[node.opType] : undefined;
    if (missing !== undefined) yield {at: node, problem: 'its parser has no such operator', hint: missing};
    if (target.domains && !target.domains.includes(node.domain))
      yield {at: node, problem: `operators of '${node.domain}' are not read`, hint: OTHER_TARGET};
    for (const rule of target.rules) {
      const problem = rule(node);
      if (problem !== undefined) yield {at: node, problem, hint: OTHER_TARGET};
    }
    for (const value of [...node.inputs, ...node.outputs]) yield* wrongType(value);
  }
  for (const input of graph.inputs) yield* wrongType(input);
}
const typeNames: Readonly<Record<string, string>> = {string: 'text'};
const typeHints: Readonly<Record<string, string>> = {string: 'take the labels from the metadata'};

/** Throws EXPORT_REFUSED at the first thing in a finished model that the target cannot read. */
export function checkTarget(model: Model, name: TargetName): void {
  for (const {at, problem, hint} of findings(model, targets[name]))
    throw new GpdError('EXPORT_REFUSED', `--target ${name}: ${at} cannot run there: ${problem}`, {at: at.name, hint});
}

/** What a person should know of a finished model that the target reads, a sentence each. */
export function targetNotes({graph, opset}: Model, name: TargetName): string[] {
  const {opset: expected, newer, fixedShapes, accelerates}: Target = targets[name];
  const open = fixedShapes === undefined ? [] : graph.nodes.filter((node) => !node.outputs.every(isFixed));
  const left = graph.nodes.filter(({opType}) => accelerates && !accelerates.has(opType)).filter((node) => !open.includes(node));
  const share = (nodes: readonly Node[]) => `${nodes.length} of ${graph.nodes.length} nodes`;
  return [
    ...(opset > expected ? [`${name}: opset ${opset} was asked for: ${newer}`] : []),
    ...(open.length > 0 ? [`${name}: ${whyOpen(graph)}: ${fixedShapes} ${share(open)} to the CPU`] : []),
    ...(left.length > 0 ? [`${name}: ${share(left)} are left to the CPU: the accelerator lacks ${counted(left)}`] : []),
    ...(left.some(({opType}) => opType.endsWith('QuantizeLinear'))
      ? [`${name}: fp16 is the precision to gain from, not int8`]
      : []),
  ];
}

const isFixed = ({name, shape}: Value): boolean => name === '' || (shape?.every((d) => typeof d === 'number') ?? false);

function whyOpen({inputs}: Graph): string {
  if (inputs.some(({shape}) => typeof shape?.[0] === 'string')) return 'the batch is not fixed (--batch 1 fixes it)';
  return inputs.every(isFixed)
    ? 'shapes that depend on numbers are not known here'
    : 'photographs may have any size until they are prepared';
}

/** `QuantizeLinear 12, DequantizeLinear 30` */
function counted(nodes: readonly Node[]): string {
  const counts = new Map<string, number>();
  for (const {opType} of nodes) counts.set(opType, (counts.get(opType) ?? 0) + 1);
  return [...counts].map(([opType, count]) => `${opType} ${count}`).join(', ');
}
