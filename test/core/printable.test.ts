/** The one definition of what may be shown. */
import fc from 'fast-check';
import {printable, printableJson, printableLines, visible} from '../../src/core/printable.js';

/** By name, so that a wrong class of characters in the definition is seen. */
const controls: readonly [what: string, character: string, shown: string][] = [
  ['escape', '\x1b', '\\x1b'],
  ['carriage return', '\r', '\\x0d'],
  ['line feed', '\n', '\\x0a'],
  ['tab', '\t', '\\x09'],
  ['delete', '\x7f', '\\x7f'],
  ['CSI of C1', '\x9b', '\\x9b'],
  ['OSC of C1', '\x9d', '\\x9d'],
  ['soft hyphen', '\xad', '\\xad'],
  ['Arabic letter mark', '\u061c', '\\u061c'],
  ['zero width space', '\u200b', '\\u200b'],
  ['left-to-right mark', '\u200e', '\\u200e'],
  ['right-to-left mark', '\u200f', '\\u200f'],
  ['line separator', '\u2028', '\\u2028'],
  ['paragraph separator', '\u2029', '\\u2029'],
  ['right-to-left override', '\u202e', '\\u202e'],
  ['word joiner', '\u2060', '\\u2060'],
  ['right-to-left isolate', '\u2067', '\\u2067'],
  ['byte order mark', '\ufeff', '\\ufeff'],
  ['a tag', '\u{e0041}', '\\u{e0041}'],
  ['half a pair', '\ud800', '\\ud800'],
];

test.each(controls)('%s', (_, character, shown) => {
  expect(printable(`a${character}b`)).toBe(`a${shown}b`);
  expect(printableLines(`a${character}b`)).toBe(character === '\n' ? 'a\nb' : `a${shown}b`);
  expect(visible(character)).toBe(character === '\n' || character === '\t' ? character : '\ufffd');
  expect(printableJson(character)).toMatch(/^"\\[\\ua-fnrt0-9]+"$/);
});

test('letters of every alphabet, emoji and their joiners stay', () => {
  const text = 'naïve Größe 日本語 עברית العربية हिन्दी क्‍ष 👩‍🔬 ½ — “x”';
  expect([printable(text), visible(text), printableJson(text)]).toEqual([text, text, JSON.stringify(text)]);
});

const anything = fc.string({unit: fc.nat(0x10ffff).map((code) => String.fromCodePoint(code)), maxLength: 40});
const UNSAFE = /(?!\u200c|\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

test('whatever the text: nothing unsafe is left, and JSON reads back as the same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), anything, anything, (value, key, text) => {
      expect(printable(text)).not.toMatch(UNSAFE);
      expect(visible(text).replace(/[\n\t]/g, '')).not.toMatch(UNSAFE);
      const mixed = {[key]: [value, text]};
      for (const indent of [undefined, 2]) {
        const json = printableJson(mixed, indent);
        expect(json.replaceAll('\n', '')).not.toMatch(UNSAFE);
        expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(mixed)));
      }
    }),
    {numRuns: 500},
  );
});
