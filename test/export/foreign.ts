/** Small networks in the words of other exporters: what torch.onnx.export writes of ReLU6, of an image resized to a fixed size, of tokens. */
import type {Model} from '../../src/onnx/graph.js';
import {parseModel} from '../../src/onnx/parse-text.js';

const head = (opset: number) => `model opset ${opset}, ir 7, producer "pytorch" "1.13"`;

/** Clip with bounds from Constant nodes. [N, 3, 16, 16] → [N, 10] */
export const reluSix = (opset = 13): Model =>
  parseModel(`${head(opset)}
    graph relu6 (%input: f32[N, 3, 16, 16]) -> (%output)
      %w = f32[8, 3, 3, 3] ~1
      %b = f32[8] ~2
      %f = f32[10, 8] ~3
      %conv = Conv(%input, %w, %b) {kernel_shape = [3, 3], pads = [1, 1, 1, 1]}
      %low = Constant() {value = f32[] {0}}
      %high = Constant() {value_float = 6.0}
      %clip = Clip(%conv, %low, %high)
      %pool = GlobalAveragePool(%clip)
      %flat = Flatten(%pool)
      %output = Gemm(%flat, %f) {transB = 1}`);

/** Shape → Slice → Concat (int64) → Resize. [N, 3, 24, 24] → [N, 10] */
export const resized = (): Model =>
  parseModel(`${head(13)}
    graph resized (%input: f32[N, 3, 24, 24]) -> (%output)
      %w = f32[8, 3, 3, 3] ~1
      %f = f32[10, 8] ~3
      %shape: i64[4] = Shape(%input)
      %from = Constant() {value_ints = [0]}
      %to = Constant() {value_ints = [2]}
      %first: i64[2] = Slice(%shape, %from, %to)
      %sides = Constant() {value = i64[2] {16, 16}}
      %sizes: i64[4] = Concat(%first, %sides) {axis = 0}
      %small: f32? = Resize(%input, _, _, %sizes) {mode = "linear", coordinate_transformation_mode = "half_pixel"}
      %conv: f32? = Conv(%small, %w) {kernel_shape = [3, 3]}
      %relu: f32? = Relu(%conv)
      %mean: f32? = ReduceMean(%relu) {axes = [2, 3], keepdims = 0}
      %output: f32[N, 10] = Gemm(%mean, %f) {transB = 1}`);

/** Patches as tokens with a class token that is expanded to the batch, as torchvision's vit has it. [N, 3, 16, 16] → [N, 10] */
export const tokens = (): Model =>
  parseModel(
    `${head(14)}
    graph tokens (%input: f32[N, 3, 16, 16]) -> (%output)
      %w = f32[12, 3, 4, 4] ~1
      %token = f32[1, 1, 12] ~2
      %q = f32[12, 12] ~4
      %f = f32[10, 12] ~3
      %shape: i64[4] = Shape(%input)
      %zero = Constant() {value_int = 0}
      %n: i64[] = Gather(%shape, %zero) {axis = 0}
      %axis = Constant() {value_ints = [0]}
      %n1: i64[1] = Unsqueeze(%n, %axis)
      %middle = Constant() {value_ints = [12]}
      %rest = Constant() {value_ints = [-1]}
      %target: i64[3] = Concat(%n1, %middle, %rest) {axis = 0}
      %patches = Conv(%input, %w) {kernel_shape = [4, 4], strides = [4, 4]}
      %rows: f32? = Reshape(%patches, %target)
      %turned: f32? = Transpose(%rows) {perm = [0, 2, 1]}
      %ones = Constant() {value_ints = [1]}
      %minus: i64[1] = Neg(%ones)
      %wide: i64[3] = Concat(%n1, %minus, %minus) {axis = 0}
      %filled: i64[3] = ConstantOfShape(%axis3) {value = i64[1] {1}}
      %open: bool[3] = Equal(%wide, %less)
      %goal: i64[3] = Where(%open, %filled, %wide)
      %class: f32? = Expand(%token, %goal)
      %all: f32? = Concat(%class, %turned) {axis = 1}
      %mixed: f32? = MatMul(%all, %q)
      %first: f32? = ReduceMean(%mixed) {axes = [1], keepdims = 0}
      %output: f32[N, 10] = Gemm(%first, %f) {transB = 1}`.replace(
      '      %filled',
      '      %axis3 = i64[1] {3}\n      %less = i64[1] {-1}\n      %filled',
    ),
  );
