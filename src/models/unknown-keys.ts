/**
 * Keys that the recognised network does not have. Inside its own stages and layers they take part in the computation, whatever they
 * are: without them it is another network, so they cannot be left out. Beside it they can, by name, and every result says so.
 */
import {GpdError} from '../core/error.js';
import {elementCount} from '../core/tensor.js';
import type {Module} from '../reparam/modules.js';

export interface Foreign {
  /** As the file has it. */
  readonly key: string;
  /** Without what says how the network was run, such as `module.`. */
  readonly name?: string;
  readonly shape: readonly number[];
  /**
   * beside: outside of the prefix of the network, whatever its name: `teacher.conv1.weight` where the network is `student.*`.
   * inside: in a part of the network. Default: its name tells.
   */
  readonly where?: 'beside' | 'inside';
  /** The prefix of another whole network, whose part it is. */
  readonly network?: string;
}

/**
 * inside: takes part in the computation, cannot be ignored. acts: beside the network, but most likely applied to its input or output,
 * so that it can be ignored by its full name alone. beside: serves training, can be ignored by a pattern.
 */
type Place = 'inside' | 'acts' | 'beside';

interface Kind {
  readonly place: Place;
  /** What a tensor of this kind most likely is. */
  readonly what: string;
  readonly is: (foreign: Foreign) => boolean;
  /** What to do about it, where that is not what its place says. */
  readonly advice?: string;
  /** Left out without being named: wherever it lies, or where the network stands apart from it, under a prefix. Every result says so. */
  readonly leaves?: 'always' | 'apart';
}

/** By a whole part of the key's path, or by its last one. */
const part =
  (pattern: RegExp) =>
  ({key, name = key}: Foreign): boolean =>
    name.split('.').some((part) => pattern.test(part));
const module =
  (pattern: RegExp) =>
  ({key, name = key}: Foreign): boolean =>
    name
      .split('.')
      .slice(0, -1)
      .some((part) => pattern.test(part));
const leaf =
  (pattern: RegExp) =>
  ({key, name = key}: Foreign): boolean =>
    pattern.test(name.slice(name.lastIndexOf('.') + 1));

/** One number for each colour, shaped to meet an image: [3, 1, 1] or [1, 3, 1, 1]. */
const perChannel = ({shape}: Foreign): boolean =>
  shape.length >= 3 && shape.at(-1) === 1 && shape.at(-2) === 1 && elementCount(shape) <= 4;

const ATTENTION =
  /^(se|se_?(module|layer|block)|squeeze\w*|excit\w*|eca|cbam|[cs]a|\w*attn\w*|\w*attention\w*|non_?local\w*|gc\w*)$/i;

/** THE table of what lies inside a network that was recognised as a smaller one. The first that fits. */
const insideKinds: readonly Kind[] = (
  [
    ['projection shortcuts', module(/^(downsample|shortcut|skip|identity|proj)$/i)],
    ['squeeze-and-excitation or attention blocks', module(ATTENTION)],
    ['blur filters (anti-aliased pooling)', leaf(/^(filt|blur\w*)$/i)],
    ['adapters of a fine-tuning (merge them into the weights first)', part(/lora|adapter/i)],
    ['observers of a quantisation-aware training', part(/fake_quant|observer|post_process|zero_point|min_val|max_val/i)],
    ['activations with parameters (PReLU)', module(/relu|^act\w*$/i)],
    ['pooling with parameters', module(/pool|^gem$/i)],
  ] as const
).map(([what, is]) => ({place: 'inside', what, is}));

const LARGER: Kind = {place: 'inside', what: 'more layers of its kind, or more tensors of a layer', is: () => true};

/** Names of a mean or standard deviation of images, in a buffer or in a module that normalises. */
const STATISTIC =
  /^((new|pixel|image|img|input|norm|data|rgb|dataset)_?)?(mean|mu|std|stdev|var|variance|sigma)s?(_?(tensor|buffer|rgb|pixel|image))?$/i;
/** A module that normalises images. */
export const NORMALISER =
  /^(normali[sz]\w*|standardi[sz]\w*|norm(_?layer)?|(input|data|image)_?(norm|bn|transform)\w*|pre_?proc\w*|transforms?)$/i;

/** Apart from the network only where its sizes fit neither the features nor the logits: see `cannotFollow`. */
const SECOND_HEAD: Kind = {
  place: 'acts',
  what: 'a second head, which some networks average with the first',
  is: module(/^(head|fc|classifier|linear)/i),
  leaves: 'apart',
};

/** THE table of what lies beside a network. The first that fits. */
const outsideKinds: readonly Kind[] = [
  {place: 'beside', what: 'an auxiliary head', is: part(/^aux/i), leaves: 'apart'},
  {place: 'beside', what: 'a teacher', is: part(/teacher/i), leaves: 'apart'},
  {
    place: 'acts',
    what: 'the normalisation of the input',
    is: (f) => leaf(STATISTIC)(f) || module(NORMALISER)(f) || perChannel(f),
    advice: 'without that the network must be given images normalised in the same way (gpd eval --mean --std)',
  },
  {
    place: 'beside',
    what: 'a metric',
    is: part(/metric|accuracy|(^|_)(acc|top)\d*$|auroc|f1_?score|confusion|confmat/i),
    leaves: 'always',
  },
  {place: 'beside', what: 'a loss', is: part(/criterion|loss/i), leaves: 'always'},
  {
    place: 'beside',
    what: 'a connector of a distillation',
    is: part(/connector|regress|distill|feat|abfs|transfer|translator/i),
    leaves: 'apart',
  },
  {
    place: 'beside',
    what: 'a projector of a contrastive training',
    is: part(/project|predictor|prototype|^proj$|mlp_head|^embed(_\w+|ding)?$/i),
    leaves: 'apart',
  },
  {place: 'beside', what: 'a queue of a contrastive training', is: part(/queue|memory_?bank/i), leaves: 'apart'},
  {
    place: 'beside',
    what: 'state of an optimiser or of averaging',
    is: part(/optim|momentum|^ema|n_averaged|^(epoch|step|iter)\w*$/i),
    leaves: 'always',
  },
  {
    place: 'acts',
    what: 'an attention block, a neck or an embedding of positions',
    is: (f) =>
      part(ATTENTION)(f) || part(/^(bottle)?neck\w*$|^pos(itional)?_?emb\w*$|^(fc|head|final|last|post)_?(norm|bn)\d*$/i)(f),
  },
  {place: 'acts', what: 'a factor of the logits', is: part(/temperature|logit_?scale|^(scale|t|tau)$/i)},
  SECOND_HEAD,
];

const UNKNOWN: Kind = {
  place: 'beside',
  what: 'something that is not known here and may take part in the computation',
  is: () => true,
};

/** Operations without parameters in the networks that are known here. */
const OPERATION = /^(relu|prelu|act|activation|max_?pool|avg_?pool|global_?pool|pool|gem|flatten)\d*$/i;

const withoutNumber = (name: string): string => name.replace(/\d+$/, '');

/** Where a key lies: in a stage or layer of the network, in one that continues its numbering (layer5, bn2), or in an operation. */
function insideOf(modules: readonly Module[]): (key: string) => boolean {
  const series = new Set(modules.map(({name}) => withoutNumber(name.slice(0, `${name}.`.indexOf('.')))));
  return (key) => {
    const [first = '', ...rest] = key.split('.');
    return rest.length > 0 && (series.has(withoutNumber(first)) || OPERATION.test(first));
  };
}

const kindOf = (foreign: Foreign, isInside: boolean): Kind =>
  isInside ? (insideKinds.find(({is}) => is(foreign)) ?? LARGER) : (outsideKinds.find(({is}) => is(foreign)) ?? UNKNOWN);

/** `*` stands for any characters. Linear in the length of both. */
export function matchesGlob(pattern: string, key: string): boolean {
  const pieces = pattern.split('*');
  const [first, last] = [pieces[0]!, pieces.at(-1)!];
  if (pieces.length === 1) return pattern === key;
  if (!key.startsWith(first) || !key.endsWith(last) || key.length < first.length + last.length) return false;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = key.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= key.length - last.length;
}

/** Whether a layer beside a network may be the classifier that it lacks. */
export function mayBeClassifier(foreign: Foreign): boolean {
  const kind = kindOf(foreign, false);
  return kind === SECOND_HEAD || kind === UNKNOWN;
}

interface Found extends Foreign {
  readonly kind: Kind;
  /** Why it is left out; undefined where nobody may. */
  readonly left: LeftOut | undefined;
}

/** Why a tensor is not used. */
export interface LeftOut {
  readonly reason: string;
  /** What leaves it out, where the network is then another one than the file may mean: results say what they are without. */
  readonly by?: string;
}

/** A pattern with `*` says nothing about a tensor that acts on the input or on the output: that one is named. */
const leavesOut = (pattern: string, key: string, {place}: Kind): boolean =>
  place === 'beside' ? matchesGlob(pattern, key) : place === 'acts' && pattern === key;

/** What is known of the network that the keys do not belong to. */
export interface NetworkBeside {
  readonly name: string;
  readonly modules: readonly Module[];
  /** What stands before its names. */
  readonly prefix?: string;
  /** Whether the user named the prefix: then what is elsewhere is not meant. */
  readonly prefixAsked?: boolean;
}

/**
 * Why each of these keys is left out. Throws KEY_UNKNOWN for keys that cannot be left out or that no pattern names, and KEY_MISSING for
 * a pattern that names none.
 */
export function leaveOut(
  foreign: readonly Foreign[],
  network: NetworkBeside,
  patterns: readonly string[],
): ReadonlyMap<string, LeftOut> {
  const isInside = insideOf(network.modules);
  const follows = mayFollow(foreign, network.modules);
  const found = foreign.map((one): Found => {
    const {key, name = key, where} = one;
    const kind = kindOf(one, where === 'inside' || (where === undefined && isInside(name)));
    const pattern = patterns.find((p) => leavesOut(p, key, kind) || (name !== key && leavesOut(p, name, kind)));
    const left =
      pattern === undefined
        ? leavesItself(one, kind, network, follows)
        : {reason: `left out by --ignore ${pattern}`, by: `--ignore ${pattern}`};
    return {...one, kind, left};
  });
  refuseInside(
    found.filter(({kind}) => kind.place === 'inside'),
    network.name,
    patterns,
  );
  refuseUnmatched(patterns, found);
  refuseUnnamed(
    found.filter(({left}) => left === undefined),
    network.name,
    patterns,
  );
  return new Map(found.map(({key, left}) => [key, left!]));
}

/** Without a flag: another network, what training alone needs, and what the user's prefix excludes. */
function leavesItself(one: Foreign, kind: Kind, network: NetworkBeside, follows: (f: Foreign) => boolean): LeftOut | undefined {
  const {prefix = '', prefixAsked = false} = network;
  if (one.network !== undefined) return {reason: `of another network, under '${one.network}'`};
  const isApart = one.where === 'beside' && (prefix !== '' || prefixAsked);
  if (kind.place === 'inside' || (kind === SECOND_HEAD && follows(one))) return undefined;
  const isCounter = elementCount(one.shape) === 1 && kind.leaves === 'always';
  if (isCounter) return {reason: `most likely ${kind.what}, one number`};
  if (kind.leaves === 'always') return {reason: `most likely ${kind.what}`, by: kind.what};
  if (!isApart) return undefined;
  if (prefixAsked && kind.place === 'beside')
    return {reason: `outside of --prefix ${prefix}, most likely ${kind.what}`, by: '--prefix'};
  return kind.leaves === 'apart' ? {reason: `most likely ${kind.what}, outside of '${prefix}'`, by: kind.what} : undefined;
}

/** Whether a layer takes as many numbers as the network's features or its logits: then it may be what follows them. */
function mayFollow(foreign: readonly Foreign[], modules: readonly Module[]): (f: Foreign) => boolean {
  const last = modules.findLast((m) => m.kind === 'linear');
  const groupOf = ({key, name = key}: Foreign) => name.slice(0, `${name}.`.indexOf('.'));
  const fitting = new Set<string>();
  for (const f of foreign) {
    const inputs = f.shape.length >= 2 ? f.shape[1] : undefined;
    if (!last || inputs === last.in || inputs === last.out) fitting.add(groupOf(f));
  }
  return (f) => fitting.has(groupOf(f));
}

function refuseInside(inside: readonly Found[], name: string, patterns: readonly string[]): void {
  const [first] = inside;
  if (!first) return;
  const asked = patterns.some((pattern) => inside.some(({key}) => matchesGlob(pattern, key)));
  const problem = asked ? 'lie inside the network and cannot be ignored' : 'have no place in it';
  throw new GpdError('KEY_UNKNOWN', `this is not ${name}: ${counted(inside, problem)}`, {
    at: first.key,
    hint: `most likely ${listKinds(inside)}: these take part in the computation, and ${name} has none. It is another network, which is not known here`,
    data: {unknown: inside.map(({key}) => key)},
  });
}

function refuseUnmatched(patterns: readonly string[], found: readonly Found[]): void {
  const unmatched = patterns.find((pattern) => found.every(({key}) => !matchesGlob(pattern, key)));
  if (unmatched === undefined) return;
  const there =
    found.length > 0
      ? `tensors that can be ignored: ${found
          .map(({key}) => key)
          .slice(0, 3)
          .join(', ')}`
      : 'no tensor is left over';
  throw new GpdError('KEY_MISSING', `--ignore ${unmatched} names no tensor that the network leaves over`, {
    at: unmatched,
    hint: `correct the pattern or leave it out; ${there}`,
  });
}

function refuseUnnamed(unnamed: readonly Found[], name: string, patterns: readonly string[]): void {
  const [first] = unnamed;
  if (!first) return;
  const acting = unnamed.filter(({kind}) => kind.place === 'acts');
  const advice = [...new Set(acting.map(({kind}) => kind.advice ?? 'without that the answers can be others'))].join('; ');
  const covered = patterns.find((pattern) => acting.some(({key}) => matchesGlob(pattern, key)));
  const whole = covered === undefined ? '' : `; --ignore ${covered} is not enough, they must be named in full`;
  const flags = [...new Set(unnamed.map(flagFor))];
  const shown = flags.slice(0, 4).join(' ') + (flags.length > 4 ? ' …' : '');
  throw new GpdError('KEY_UNKNOWN', `${name} has no place for ${counted(unnamed)}`, {
    at: first.key,
    hint: `most likely ${listKinds(unnamed)}${advice && `; ${advice}`}${whole}. To go on without: ${shown}`,
    data: {unknown: unnamed.map(({key}) => key)},
  });
}

/** `'a.weight' and 3 more tensors`, with what is said of them. */
function counted(found: readonly Found[], said = ''): string {
  const others = found.length - 1;
  const more = others > 0 ? ` and ${others} more tensor${others > 1 ? 's' : ''}` : '';
  const verb = others > 0 ? said : said.replace(/^lie/, 'lies').replace(/^have/, 'has');
  return `'${found[0]!.key}'${more}${verb && ` ${verb}`}`;
}

const listKinds = (found: readonly Found[]): string => [...new Set(found.map(({kind}) => kind.what))].join(', ');

/** What leaves it out: a whole module beside the network, or the tensor by its name. */
function flagFor({key, kind}: Found): string {
  const dot = key.indexOf('.');
  return kind.place === 'beside' && dot > 0 ? `--ignore '${key.slice(0, dot)}.*'` : `--ignore ${key}`;
}

/** `the network without 2 tensors: aux.weight, aux.bias`; what a proof is about where tensors were left out. */
export function withoutText(keys: readonly string[], most = Number.POSITIVE_INFINITY): string {
  const listed = keys.slice(0, most).join(', ');
  const more = keys.length > most ? `, … ${keys.length - most} more` : '';
  return `the network without ${keys.length} tensor${keys.length === 1 ? '' : 's'}: ${listed}${more}`;
}
