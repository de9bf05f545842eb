/** Which provider ran which node: read from a profile that the runtime wrote, not from what it was asked to do. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {makeTemporary, removeHidden} from '../core/temporary.js';
import type {Tensor} from '../core/tensor.js';
import {type ProviderName, providerNames, providers} from '../onnx/providers.js';
import type {SessionOptions} from '../onnx/session.js';
import {runImages} from './logits.js';
import type {Subject} from './subject.js';

export interface ProviderShare {
  /** One of ours, or the runtime's name of another. */
  provider: string;
  nodes: number;
  ms: number;
  /** Nodes by operator, most frequent first. */
  operators: {operator: string; nodes: number}[];
}
export interface ProviderExplanation {
  asked: ProviderName;
  /** Most nodes first. Nodes are those of the graph as the runtime optimised it. */
  shares: ProviderShare[];
  /** Operators that the provider asked for left to another. */
  fallback: {operator: string; nodes: number}[];
}

/** An event of onnxruntime's profile, in the Chrome trace format. */
interface ProfileEvent {
  cat?: string;
  name?: string;
  dur?: number;
  args?: {op_name?: string; provider?: string; node_index?: string};
}

const nameOf = (runtimeName: string): string =>
  providerNames.find((name) => providers[name].runtimeName === runtimeName) ?? runtimeName;

const countBy = (operators: readonly string[]): {operator: string; nodes: number}[] =>
  [...new Set(operators)]
    .map((operator) => ({operator, nodes: operators.filter((o) => o === operator).length}))
    .sort((a, b) => b.nodes - a.nodes || a.operator.localeCompare(b.operator));

/** A node that ran several times counts once. */
export function explainProfile(profile: string, asked: ProviderName): ProviderExplanation {
  const ran = new Map<string, {provider: string; operator: string; ms: number}>();
  for (const {cat, name = '', dur = 0, args = {}} of JSON.parse(profile) as ProfileEvent[]) {
    if (cat !== 'Node' || !args.provider || !name.endsWith('_kernel_time')) continue;
    const node = `${args.node_index} ${name}`;
    const ms = (ran.get(node)?.ms ?? 0) + dur / 1000;
    ran.set(node, {provider: nameOf(args.provider), operator: args.op_name ?? '?', ms});
  }
  const nodes = [...ran.values()];
  const shares = [...new Set(nodes.map((n) => n.provider))].map((provider): ProviderShare => {
    const own = nodes.filter((n) => n.provider === provider);
    const ms = own.reduce((sum, n) => sum + n.ms, 0);
    return {provider, nodes: own.length, ms, operators: countBy(own.map((n) => n.operator))};
  });
  return {
    asked,
    shares: shares.sort((a, b) => b.nodes - a.nodes),
    fallback: countBy(nodes.filter((n) => n.provider !== asked).map((n) => n.operator)),
  };
}

/** Runs a few images under a profile. */
export async function explainProvider(
  subject: Pick<Subject, 'open' | 'input' | 'output'>,
  options: SessionOptions,
  images: Tensor<'float32'>,
): Promise<ProviderExplanation> {
  const folder = makeTemporary();
  try {
    const session = await subject.open({...options, profilePrefix: join(folder, 'profile')});
    try {
      await runImages(session, subject, images);
      session.endProfile();
    } finally {
      await session.close();
    }
    const [file] = readdirSync(folder);
    return explainProfile(readFileSync(join(folder, file!), 'utf8'), options.provider ?? 'cpu');
  } finally {
    removeHidden(folder);
  }
}
