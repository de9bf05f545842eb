/**
 * Structure-aware mutation: a file is described by plain data (entries, fields, instructions), one place of the description is
 * replaced by a lie, and the format's own writer makes bytes of it. What it derives (lengths, checksums) then still fits, so that
 * the lie reaches the code behind those checks.
 */
import type {Random} from '../src/core/random.js';
import {anyNumber, chance, noise, pick, trickyNames} from './dice.js';

interface Slot {
  readonly parent: Record<string, unknown> | unknown[];
  readonly key: string | number;
}

const MAX_DEPTH = 12;

function slotsOf(value: unknown, depth = 0): Slot[] {
  if (depth > MAX_DEPTH || typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  const parent = value as Record<string, unknown> | unknown[];
  const keys: (string | number)[] = Array.isArray(parent) ? [...parent.keys()] : Object.keys(parent);
  return keys.flatMap((key) => [{parent, key}, ...slotsOf((parent as Record<string | number, unknown>)[key], depth + 1)]);
}

/** Changes one place in the description, in place. */
export function bend(description: object, dice: Random): void {
  const slots = slotsOf(description);
  if (slots.length === 0) return;
  const {parent, key} = pick(dice, slots);
  if (Array.isArray(parent) && chance(dice, 0.4)) rearrange(parent, key as number, dice);
  else {
    const record = parent as Record<string | number, unknown>;
    record[key] = lie(record[key], slots, dice);
  }
}

function rearrange(items: unknown[], at: number, dice: Random): void {
  const other = dice.integer(items.length);
  const action = dice.integer(4);
  const copy = () => structuredClone(items[at]);
  if (action === 0) items.splice(at, 1);
  else if (action === 1) items.splice(at, 0, copy());
  else if (action === 2) [items[at], items[other]] = [items[other], items[at]];
  else items.splice(at, 0, ...Array.from({length: dice.integer(20)}, copy));
}

/** What a value may be exchanged for: the same type, and for records the same fields. */
function kindOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return typeof value;
  if (ArrayBuffer.isView(value)) return 'bytes';
  return Array.isArray(value) ? `list of ${kindOf(value[0])}` : `record of ${Object.keys(value).sort()}`;
}

/** Another value of the same type, from elsewhere in the description or from a list of known troublemakers. */
function lie(value: unknown, slots: readonly Slot[], dice: Random): unknown {
  if (chance(dice, 0.3)) {
    const {parent, key} = pick(dice, slots);
    const other = (parent as Record<string | number, unknown>)[key];
    if (kindOf(other) === kindOf(value)) return structuredClone(other); // a copy: nothing may contain itself
  }
  if (typeof value === 'number') return chance(dice, 0.5) ? anyNumber(dice) : value + dice.integer(9) - 4;
  if (typeof value === 'bigint') return BigInt(Math.round(anyNumber(dice)));
  if (typeof value === 'string')
    return chance(dice, 0.5) ? pick(dice, trickyNames) : value.slice(dice.integer(value.length + 1));
  if (typeof value === 'boolean') return !value;
  if (value instanceof Uint8Array) return otherBytes(value, dice);
  return Array.isArray(value) ? [] : value;
}

function otherBytes(bytes: Uint8Array, dice: Random): Uint8Array {
  const action = dice.integer(3);
  if (action === 0) return bytes.subarray(0, dice.integer(bytes.length + 1));
  if (action === 1) return noise(dice, dice.integer(64));
  return Uint8Array.from([...bytes, ...noise(dice, dice.integer(16))]);
}
