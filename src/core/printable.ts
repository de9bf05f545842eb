/**
 * Which characters may be shown as they are: the one definition for terminal, JSON, reports and text forms. Names come from strangers'
 * files, and control characters move the cursor, fill the clipboard or change colours; format characters turn the direction of
 * what follows, or are not seen at all; line and paragraph separators end a line.
 */

/** By Unicode's general categories: Cc, Cf, Zl, Zp, and halves of pairs. The two joiners are letters' business in many alphabets. */
const UNSAFE = /(?!\u200c|\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');

/** As JavaScript and Python write it: `\x1b`, `\u202e`, `\u{e0041}`. */
function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  if (code > 0xffff) return `\\u{${hex(code, 1)}}`;
  return code > 0xff ? `\\u${hex(code, 4)}` : `\\x${hex(code, 2)}`;
}

/** Text from a file in one line that is safe to print. */
export const printable = (text: string): string => text.replace(UNSAFE, escaped);

/** The same of a text with lines of its own: line breaks stay. */
export const printableLines = (text: string): string => text.replace(UNSAFE, (c) => (c === '\n' ? c : escaped(c)));

/** For pages, where an escape would look like part of the text: the sign that stands for what cannot be shown. */
export const visible = (text: string): string => text.replace(UNSAFE, (c) => (c === '\n' || c === '\t' ? c : '\ufffd'));

/** JSON that is safe to print and reads back as the same value. */
export function printableJson(value: unknown, indent?: number): string {
  const units = (character: string) =>
    Array.from({length: character.length}, (_, i) => `\\u${hex(character.charCodeAt(i), 4)}`).join('');
  // JSON.stringify has escaped what is below U+0020 in texts; a line break is its own
  return JSON.stringify(value, undefined, indent).replace(UNSAFE, (c) => (c === '\n' ? c : units(c)));
}
