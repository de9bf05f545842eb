/** The page needs nothing from outside, shows what it should, and believes no text from a file. */
import {columnChart} from '../../src/eval/report/charts.js';
import {escapeHtml, html} from '../../src/eval/report/html.js';
import {renderReport} from '../../src/eval/report/page.js';
import {shownImages} from '../../src/eval/report/worst-images.js';
import {evaluationOf} from './evaluations.js';

const HOSTILE = '<script>alert(1)</script>"&\'\u202e';

const context = {
  command: 'gpd eval a.onnx --data val.tar',
  environment: [['machine', 'one of ours']] as const,
  thumbnails: new Map([[3, new Uint8Array([0xff, 0xd8, 0xff])]]),
};

test('escaping: text, attributes, nothing twice', () => {
  expect(escapeHtml(HOSTILE)).toBe('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&amp;&#39;\ufffd');
  expect(html`<b title="${'"'}">${['<', html`<i>${'&'}</i>`, null, false, 0]}</b>`.text).toBe(
    '<b title="&quot;">&lt;<i>&amp;</i>0</b>',
  );
});

test('names from files are shown, never obeyed: in text, attributes, charts and titles', async () => {
  const page = await renderReport(evaluationOf({name: HOSTILE, className: HOSTILE, path: HOSTILE}), {
    ...context,
    command: HOSTILE,
  });
  expect(page).not.toContain('<script');
  expect(page).not.toContain('\u202e');
  expect(page).toContain('&lt;script&gt;');
});

test('one file: no address, no script, and a policy that forbids both', async () => {
  const page = await renderReport(evaluationOf(), context);
  expect(page).toContain(`content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"`);
  const addresses = page.match(/(?:src|href|url)\s*[=(]\s*["']?[^"')\s>]*/g) ?? [];
  expect(addresses.filter((a) => !/data:image\/jpeg;base64,|url\(#/.test(a))).toEqual([]);
  expect(page.replaceAll(/xmlns(:xlink)?="[^"]*"/g, '')).not.toMatch(/https?:/);
  expect(page).toContain('prefers-color-scheme: dark');
  expect(page).toContain('@media print');
});

test('every part of the result is there', async () => {
  const page = await renderReport(evaluationOf(), context);
  for (const part of [
    'Gates',
    'Accuracy',
    'How the models differ',
    'Before and after: size',
    'Latency',
    'Mistakes',
    'Configuration',
    'How to reproduce',
  ])
    expect(page).toMatch(new RegExp(`<h2>${part}`));
  expect(page.match(/<svg /g)).toHaveLength(2 + 1 + 3 + 1);
  expect(page).toContain('data:image/jpeg;base64,/9j/');
  expect(page).toContain('gpd eval a.onnx --data val.tar');
  expect(page).not.toMatch(/undefined|NaN|\[object/);
});

test('an interrupted run without labels, gates or differences is a page too', async () => {
  const bare = evaluationOf();
  const [model] = bare.models;
  const page = await renderReport(
    {
      ...bare,
      complete: false,
      gates: [],
      comparisons: [],
      models: [{...model!, top1: null, top5: null, crossEntropy: null, calibrationError: null, worst: [], confusions: []}],
    },
    context,
  );
  expect(page).toContain('Interrupted');
  expect(page).not.toMatch(/undefined|NaN|\[object/);
});

test('charts use the page’s colours and take its width', async () => {
  const {text} = await columnChart('a "label"', [{label: '<x>', value: 2}], 'var(--c1)', 'axis');
  expect(text).toContain('fill="var(--c1)"');
  expect(text).toMatch(/^<svg role="img" aria-label="a &quot;label&quot;" xmlns/);
  expect(text).toContain('&lt;x&gt;');
  expect(text).not.toMatch(/<style|ecmeta/);
});

test('thumbnails are made of the images that are shown', () => {
  expect(shownImages(evaluationOf()).sort()).toEqual([3, 4]);
});
