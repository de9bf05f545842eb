/** Classes whose names are numbered: sorted as text 10 comes before 2, which is torchvision's order and seldom what was meant. */
import {type DataWarning, warnings} from './warnings.js';

const SHOWN = 4;

/** The one number of each name, where all names are the same up to it (`7`, `class_7`, `7_cat` beside `12_dog`). */
function numbersIn(names: readonly string[]): number[] | undefined {
  const parts = names.map((name) => /^(\D*)(\d{1,15})/.exec(name));
  const prefix = parts[0]?.[1];
  return parts.every((part) => part && part[1] === prefix) ? parts.map((part) => Number(part![2])) : undefined;
}

/** `names` in label order. */
export function numberedClasses(names: readonly string[]): DataWarning[] {
  const numbers = numbersIn(names);
  const misplaced = numbers?.flatMap((number, i) => (i > 0 && number < numbers[i - 1]! ? [names[i]!] : [])) ?? [];
  if (misplaced.length === 0) return [];
  return warnings('numbered-classes', names.length, `${names.slice(0, SHOWN).join(', ')}${names.length > SHOWN ? ', …' : ''}`);
}
