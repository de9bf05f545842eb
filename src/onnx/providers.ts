/**
 * What can run a model beside the CPU, what each needs of the machine, and the command that installs it. Asked before the runtime is:
 * its own answer names neither the library that is missing nor a remedy.
 * Sources: onnxruntime-node 1.30, README.md and script/install-metadata.js;
 * https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#requirements (CUDA 12, cuDNN 9).
 */
import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {GpdError} from '../core/error.js';

interface ProviderFacts {
  /** What profiles call it. */
  readonly runtimeName: string;
  /** `process.platform-process.arch` where the package has it; undefined: everywhere. */
  readonly platforms?: readonly string[];
  /** Files beside the runtime's binding that an install script fetches. */
  readonly packaged?: readonly string[];
  /** Libraries of the system, by platform. */
  readonly libraries?: Readonly<Record<string, readonly string[]>>;
  readonly install: string;
  /** Why `auto` never takes it. */
  readonly notAutomatic?: string;
}

/** THE table of providers. `auto` tries them in this order; cpu is last and always there. */
export const providers = {
  cuda: {
    runtimeName: 'CUDAExecutionProvider',
    platforms: ['linux-x64'],
    packaged: ['libonnxruntime_providers_cuda.so', 'libonnxruntime_providers_shared.so'],
    libraries: {
      'linux-x64': [
        'libcuda.so.1',
        'libcudart.so.12',
        'libcublas.so.12',
        'libcublasLt.so.12',
        'libcufft.so.11',
        'libcurand.so.10',
        'libcudnn.so.9',
      ],
    },
    install: 'npm rebuild onnxruntime-node --ignore-scripts=false --onnxruntime-node-install=cuda12',
  },
  dml: {
    runtimeName: 'DmlExecutionProvider',
    platforms: ['win32-x64', 'win32-arm64'],
    install: 'DirectML comes with onnxruntime-node for Windows',
  },
  coreml: {
    runtimeName: 'CoreMLExecutionProvider',
    platforms: ['darwin-arm64'],
    install: 'CoreML comes with onnxruntime-node for macOS on Apple silicon',
    notAutomatic: 'it may compute in half precision, which changes the results',
  },
  webgpu: {
    runtimeName: 'WebGpuExecutionProvider',
    platforms: ['linux-x64', 'win32-x64', 'win32-arm64', 'darwin-arm64'],
    libraries: {'linux-x64': ['libvulkan.so.1']},
    install: 'apt-get install libvulkan1, and the Vulkan driver of the graphics card (mesa-vulkan-drivers, or its vendor’s)',
    notAutomatic: 'it is experimental in onnxruntime-node',
  },
  cpu: {runtimeName: 'CPUExecutionProvider', install: 'the CPU provider is always there'},
} as const satisfies Record<string, ProviderFacts>;
export type ProviderName = keyof typeof providers;
export const providerNames = Object.keys(providers) as ProviderName[];

const factsOf = (name: ProviderName): ProviderFacts => providers[name];

/** What is asked of the machine; tests ask of others. */
export interface Host {
  readonly platform: string;
  /** Does the folder of the runtime's binding have the file? */
  packageHas(file: string): boolean;
  canLoad(library: string): boolean;
}

function canLoad(library: string): boolean {
  try {
    process.dlopen({exports: {}}, library);
    return true;
  } catch (error) {
    return !/cannot open shared object file|image not found/.test((error as Error).message); // no Node module, but it was loaded
  }
}

/** Beside a bundle or under a test runner there is no `import.meta`, but then there is `__filename`. */
const bindingFolder = (): string => {
  const entry = createRequire(import.meta.url ?? __filename).resolve('onnxruntime-node');
  return join(dirname(entry), '../bin/napi-v6', process.platform, process.arch);
};
export const thisHost: Host = {
  platform: `${process.platform}-${process.arch}`,
  packageHas: (file) => existsSync(join(bindingFolder(), file)),
  canLoad,
};

/** What the machine lacks for a provider, in words; undefined if nothing is known to be missing. */
export function missingFor(name: ProviderName, host: Host = thisHost): string | undefined {
  const {platforms, packaged = [], libraries = {}} = factsOf(name);
  if (platforms && !platforms.includes(host.platform))
    return `onnxruntime-node has it for ${platforms.join(', ')} only, and this is ${host.platform}`;
  const file = packaged.find((f) => !host.packageHas(f));
  if (file) return `${file} is not installed: the package leaves it out for its size`;
  const library = libraries[host.platform]?.find((l) => !host.canLoad(l));
  return library && `the system has no ${library}`;
}

export function providerUnavailable(name: ProviderName, why: string, cause?: unknown): GpdError {
  const {install} = factsOf(name);
  const hint = why.includes(' only, and this is ') ? 'choose another with --provider; cpu is always there' : install;
  return new GpdError('PROVIDER_UNAVAILABLE', `provider '${name}' cannot be used: ${why}`, {
    at: name,
    hint: name === 'cuda' && why.startsWith('the system') ? cudaHint(why) : hint,
    ...(cause !== undefined && {cause}),
  });
}

const cudaHint = (why: string): string =>
  why.includes('libcuda.so')
    ? 'install the NVIDIA driver of this machine'
    : 'install CUDA 12 and cuDNN 9, for example: apt-get install cuda-libraries-12-8 libcudnn9-cuda-12';

export interface ProviderChoice {
  name: ProviderName;
  /** Why this one, for a person. */
  reason: string;
}

/** The one asked for, or of `auto` the first that is there. Throws PROVIDER_UNAVAILABLE. */
export function chooseProvider(asked: ProviderName | 'auto', host: Host = thisHost): ProviderChoice {
  if (asked !== 'auto') {
    const missing = missingFor(asked, host);
    if (missing) throw providerUnavailable(asked, missing);
    return {name: asked, reason: 'asked for'};
  }
  const passed: string[] = [];
  for (const name of providerNames) {
    const missing = factsOf(name).notAutomatic ?? missingFor(name, host);
    if (missing && factsOf(name).platforms?.includes(host.platform)) passed.push(`not ${name}, ${missing}`);
    if (!missing) return {name, reason: passed.join('; ') || 'the first that is there'};
  }
  throw new Error('cpu is always there');
}
