/**
 * The errors a user can cause. Three kinds exist: a bug is a plain `Error` with a stack; bad input is a `GpdError` (exit 1);
 * bad usage is oclif's (exit 2). A check that was asked for and is not met is a result, reported in full, exit 1.
 */
import {shellWord} from './shell.js';

/** Every code with what it means. `docs/formats.md` lists them for users; a code never changes its meaning. */
export const errorCodes = {
  FILE_UNREADABLE: 'the file is missing, is not a regular file, or may not be read',
  FILE_CHANGED: 'the file changed while it was being read',
  OUTPUT_REFUSED: 'the output exists, is the input itself, or cannot be written',
  FORMAT_UNKNOWN: 'the file is none of the formats that are read here',
  CHECKPOINT_TRUNCATED: 'the file ends before its own tables say it should',
  CHECKPOINT_CORRUPT: 'the file contradicts itself',
  PICKLE_UNSUPPORTED: 'the checkpoint uses a pickle feature that a state dict never needs',
  PICKLE_INVALID: 'the pickle is not well formed',
  DTYPE_UNSUPPORTED: 'numbers are stored in a form that is not read here: complex, quantised, 8-bit float, big-endian',
  LIMIT_EXCEEDED: 'the file declares more than any real file of its kind contains',
  STATE_DICT_NOT_FOUND: 'the file holds no state dict under the requested name',
  ARCH_UNKNOWN: 'the tensors do not form an architecture that is known here',
  ARCH_AMBIGUOUS: 'the tensors leave open what the network is; a flag must say it',
  KEY_MISSING: 'a tensor that the architecture needs is absent',
  KEY_UNKNOWN: 'a tensor is present that the architecture does not have',
  SHAPE_MISMATCH: 'two shapes that must agree do not',
  WEIGHTS_NOT_FINITE: 'a tensor contains NaN, infinite values or negative variances, or what is made of it does',
  GRAPH_INVALID: 'an ONNX graph breaks an invariant',
  OPSET_UNSUPPORTED: 'the graph needs an operator that the requested opset does not have',
  EXPORT_REFUSED: 'the form that was asked for cannot be made of this network, or not for that target',
  PROOF_FAILED:
    'the two forms of the network do not compute the same function within the bound, or what they compute cannot show it',
  DATASET_INVALID: 'the images or their labels are not in a layout that is read here, or contradict each other',
  IMAGE_UNREADABLE: 'an image is damaged, too large, or in a format that is not read here',
  DECODER_FAILED: 'a worker that decodes images ended before its work was done',
  ENGINE_FAILED: 'onnxruntime refused the model or failed while running it',
  PROVIDER_UNAVAILABLE:
    'the execution provider that was asked for is not installed, finds no device, or cannot run the whole model',
  CONFIG_INVALID: 'an option is unknown, has a value that it does not take, or contradicts another',
  TRAINING_DIVERGED: 'a loss became infinite or no number at all, and training on would be in vain',
  STATE_MISMATCH: 'the saved state of an interrupted run belongs to a run of other models, images or settings',
} as const;
/** The code of an error; `errorCodes` says what each means. */
export type ErrorCode = keyof typeof errorCodes;

export interface ErrorDetails {
  /** Where: a file, offset, key or node. */
  at?: string;
  /** What the user can do next. */
  hint?: string;
  /** Machine-readable facts for `--json`. */
  data?: Record<string, unknown>;
  cause?: unknown;
}

/** What is wrong, where, and what to do about it: the only error that is thrown on purpose. */
export class GpdError extends Error {
  override readonly name = 'GpdError';
  readonly at: string | undefined;
  readonly hint: string | undefined;
  readonly data: Record<string, unknown> | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    details: ErrorDetails = {},
  ) {
    super(message, details.cause === undefined ? {} : {cause: details.cause});
    this.at = details.at;
    this.hint = details.hint;
    this.data = details.data;
  }
}

/** Where a hint gives a command, FILE stands for the file that its function does not know, and for the flags that were given with it. */
export const commandsFor = (name: string, hint: string, flags: readonly string[] = []): string =>
  hint.replaceAll(' FILE ', ` ${[name, ...flags].map(shellWord).join(' ')} `);

/** The same refusal, said to be in `name`; `flags` belong to the commands of its hint. */
export function named(name: string, error: GpdError, flags: readonly string[] = []): GpdError {
  if (error.message.startsWith(name)) return error;
  const {code, message, at, hint, data} = error;
  return new GpdError(code, `${name}: ${message}`, {
    ...(at !== undefined && {at}),
    ...(hint !== undefined && {hint: commandsFor(name, hint, flags)}),
    ...(data && {data}),
    cause: error,
  });
}

/** Runs `work`; what it refuses is said to be in `name`, for functions that know tensors but not the file they are from. */
export function naming<T>(name: string, work: () => T, flags: readonly string[] = []): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof GpdError ? named(name, error, flags) : error;
  }
}
