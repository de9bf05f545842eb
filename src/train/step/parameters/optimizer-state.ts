/**
 * The state of an optimiser as PyTorch saves it: by the number of a parameter, counted through the groups. torch/optim/sgd.py,
 * rmsprop.py, adamw.py of 1.13; options that are newer are left to PyTorch's defaults.
 */
import {isMap, isTensor, type PlainData, type PlainMap, type TensorRef} from '../../../checkpoint/plain-data.js';
import {float, type Writable} from '../../../checkpoint/write-pickle.js';
import {GpdError} from '../../../core/error.js';
import {float32, sameShape, sourceOf, type TensorSource, toFloat32} from '../../../core/tensor.js';
import {type DecayGroup, type DecayRule, decayGroups} from './decay-groups.js';
import type {NamedTensors, OptimizerState} from './named-tensors.js';
import {type OptimizerConfig, slotNames} from './optimizers.js';
import {isParameter} from './store.js';

/** Groups of the parameters of a state. Only norms have a vector for a weight. */
export function groupsOf(model: NamedTensors, rule: DecayRule): DecayGroup[] {
  const isNorm = (module: string) => model.get(`${module}.weight`)?.shape.length === 1;
  const parameters = [...model].filter(([key]) => isParameter(key));
  const infos = parameters.map(([key, {shape}]) => ({key, shape, ofNorm: isNorm(key.slice(0, key.lastIndexOf('.')))}));
  return decayGroups(infos, rule);
}

const groupOptions = (config: OptimizerConfig): [string, Writable][] => {
  switch (config.kind) {
    case 'sgd':
      return [
        ['momentum', float(config.momentum)],
        ['dampening', 0],
        ['nesterov', config.nesterov],
        ['maximize', false],
        ['foreach', null],
        ['differentiable', false],
      ];
    case 'rmsprop':
      return [
        ['momentum', float(config.momentum)],
        ['alpha', float(config.alpha)],
        ['eps', float(config.eps)],
        ['centered', false],
        ['foreach', null],
        ['maximize', false],
        ['differentiable', false],
      ];
    case 'adamw':
      return [
        ['betas', {kind: 'tuple', items: config.betas.map(float)}],
        ['eps', float(config.eps)],
        ['amsgrad', false],
        ['foreach', null],
        ['maximize', false],
        ['capturable', false],
      ];
  }
};

/** Updates are counted for each parameter: as a tensor by AdamW, as a number by RMSprop, not at all by SGD. */
const counterOf = ({kind}: OptimizerConfig, step: number): [string, Writable][] => {
  if (kind === 'adamw') return [['step', sourceOf(float32([], [step]))]];
  return kind === 'rmsprop' ? [['step', step]] : [];
};

export interface OptimizerSettings {
  readonly optimizer: OptimizerConfig;
  readonly decay: DecayRule;
}

export function encodeOptimizer(
  {step, slots}: OptimizerState,
  model: NamedTensors,
  {optimizer, decay}: OptimizerSettings,
  lr: number,
): Writable {
  const groups = groupsOf(model, decay);
  const keys = groups.flatMap((group) => group.keys);
  const numbers = new Map(keys.map((key, i) => [key, i]));
  const names = slotNames(optimizer);
  const slotsOf = (key: string): [string, Writable][] => names.map((name) => [name, sourceOf(slots.get(name)!.get(key)!)]);
  const state = keys.map((key, i): [number, Writable] => [i, new Map([...counterOf(optimizer, step), ...slotsOf(key)])]);
  return new Map<string, Writable>([
    ['state', new Map(step > 0 && names.length > 0 ? state : [])],
    [
      'param_groups',
      groups.map(
        (group) =>
          new Map<string, Writable>([
            ['weight_decay', float(group.weightDecay)],
            ['lr', float(lr)],
            ...groupOptions(optimizer),
            ['params', group.keys.map((key) => numbers.get(key)!)],
          ]),
      ),
    ],
  ]);
}

const entry = (map: PlainData | undefined, key: PlainData): PlainData | undefined => (isMap(map) ? map.get(key) : undefined);

/** Undefined where the checkpoint has none. Throws STATE_MISMATCH for one of another network or optimiser. */
export function decodeOptimizer(
  saved: PlainData | undefined,
  model: NamedTensors,
  {optimizer, decay}: OptimizerSettings,
  tensor: (ref: TensorRef, name: string) => TensorSource,
): OptimizerState | undefined {
  const [state, groups] = [entry(saved, 'state'), entry(saved, 'param_groups')];
  if (!isMap(state) || !Array.isArray(groups)) return undefined;
  const keys = groupsOf(model, decay).flatMap((group) => group.keys);
  const numbers = groups.flatMap((group) => entry(group, 'params') ?? []);
  if (numbers.length !== keys.length) {
    throw mismatch(`it has ${numbers.length} parameters, the run ${keys.length}`);
  }
  const names = slotNames(optimizer);
  const slots = new Map(names.map((name) => [name, new Map<string, ReturnType<typeof toFloat32>>()]));
  let step = 0;
  if (state.size === 0) return {step, slots: new Map()};
  for (const [i, key] of keys.entries()) {
    const own = state.get(numbers[i]!);
    const {shape} = model.get(key)!;
    for (const name of names) {
      const ref = entry(own, name);
      if (!isTensor(ref)) throw mismatch(`parameter ${i}, '${key}', has no ${name}`);
      const source = tensor(ref, `optimizer.${name} of ${key}`);
      if (!sameShape(source.shape, shape)) throw mismatch(`${name} of '${key}' is [${source.shape}], not [${shape}]`);
      slots.get(name)!.set(key, toFloat32(source.read()));
    }
    if (isMap(own)) step = Math.max(step, stepOf(own, tensor));
  }
  return {step, slots};
}

/** SGD does not count; any number but 0 says that there were updates. */
function stepOf(own: PlainMap, tensor: (ref: TensorRef, name: string) => TensorSource): number {
  const step = own.get('step');
  if (isTensor(step)) return toFloat32(tensor(step, 'optimizer step').read()).data[0] ?? 1;
  return typeof step === 'number' ? step : 1;
}

const mismatch = (problem: string) =>
  new GpdError('STATE_MISMATCH', `the saved optimiser does not fit: ${problem}`, {
    hint: 'resume with the network and optimiser of the checkpoint, or start from its weights with --initial',
  });
