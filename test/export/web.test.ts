/** The web form in a real browser, from a plain static server: the same best classes as in Node, nothing fetched from elsewhere. */
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import sharp from 'sharp';
import {type ExportFileOptions, exportFile} from '../../src/cli/export-files.js';
import {random} from '../../src/core/random.js';
import {tensor, toFloat32} from '../../src/core/tensor.js';
import {decodeImage} from '../../src/data/image.js';
import {renderPage} from '../../src/export/web/page.js';
import {findRuntime} from '../../src/export/web/runtime.js';
import {openSession} from '../../src/onnx/session.js';
import {fixtureNamed, fixturePath} from '../cases.js';
import {chromium, Page, serve} from './browser.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-web-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const FILE = 'cifar_resnet20_r2_orepa.pth.tar';
const labels = Array.from({length: 10}, (_, i) => (i === 2 ? '</script><b>"&' : `class ${i}`));
const options: ExportFileOptions = {
  ...{ema: false, output: join(folder, 'demo.web'), force: false, precisions: ['fp32'], formats: ['web'], io: 'float32'},
  ...{externalData: false, embed: false, softmax: false, batchNorm: 'keep', names: 'original', calibrationSamples: 1},
  ...{int8: {}, gates: {}, overrides: {}, onError: 'stop', rounds: 0},
};

/** Smooth enough for a JPEG to keep it. */
async function photograph(): Promise<string> {
  const {uniform} = random('photograph');
  const coarse = Uint8Array.from({length: 5 * 4 * 3}, () => Math.floor(256 * uniform()));
  const path = join(folder, 'photograph.jpg');
  const enlarged = sharp(coarse, {raw: {width: 5, height: 4, channels: 3}}).resize(250, 200, {kernel: 'cubic'});
  writeFileSync(path, await enlarged.jpeg({quality: 95}).toBuffer());
  return path;
}

async function inNode(model: string, path: string): Promise<{classes: number[]; scores: Float32Array}> {
  const {width, height, data} = await decodeImage(readFileSync(path));
  const session = await openSession(model);
  const results = await session.run(new Map([['image', tensor('uint8', [1, height, width, 3], new Uint8Array(data))]]));
  await session.close();
  return {
    classes: Array.from(results.get('top_classes')!.data as BigInt64Array, Number),
    scores: toFloat32(results.get('top_scores')!).data,
  };
}

const inBrowser = chromium ? test : test.skip;

inBrowser('a photograph gets the classes and probabilities that Node gives it, and nothing comes from elsewhere', async () => {
  const classes = fixtureNamed(FILE).flags;
  const report = await exportFile(fixturePath(FILE), {...options, ...classes, labels: undefined});
  expect(report.forms[0]!.check).toMatchObject({ok: true, sameTop1: 6});
  const path = await photograph();
  const expected = await inNode(join(folder, 'demo.web', 'model.onnx'), path);
  const server = await serve(join(folder, 'demo.web'));
  const page = new Page();
  try {
    await page.open(server.url);
    const status = async () => page.evaluate<string>('document.getElementById("status").textContent');
    expect([await page.state('ready', 'failed'), await status(), page.console]).toEqual([
      'ready',
      'Ready: the best 5 classes will be here.',
      [],
    ]);
    await page.choose(path);
    expect([await page.state('done', 'failed'), page.console]).toEqual(['done', []]);
    const found = await page.evaluate<{class: string; share: string}[]>(
      `[...document.querySelectorAll('#classes li')].map((li) => ({class: li.dataset.class, share: li.querySelector('.share').textContent}))`,
    );
    expect(found.map((item) => Number(item.class))).toEqual(expected.classes);
    // Chromium's JPEG decoder may differ from libvips' by a level or two in a few pixels; shares are shown to a tenth of a percent.
    for (const [i, {share}] of found.entries())
      expect(Math.abs(Number.parseFloat(share) - 100 * expected.scores[i]!)).toBeLessThan(0.5);
    expect(server.requested.sort()).toEqual(['/', '/model.onnx', '/ort-wasm-simd-threaded.wasm', '/ort.wasm.bundle.min.mjs']);
    expect(await page.evaluate('document.getElementById("size").textContent')).toBe('250 × 200 px');
    writeFileSync(join(folder, 'no-image.jpg'), 'not an image');
    await page.choose(join(folder, 'no-image.jpg'));
    expect(await page.state('failed')).toBe('failed');
    await page.choose(path);
    expect(await page.state('done')).toBe('done'); // a bad file does not end the page
  } finally {
    server.close();
    await page.close();
  }
});

test('labels and names cannot leave their place in the page', () => {
  const facts = {
    name: '<img src=x>',
    model: 'model.onnx',
    runtime: 'ort.mjs',
    wasm: 'ort.wasm',
    modelBytes: 1,
    precision: '"quoted"',
    topK: 5,
  };
  const page = renderPage({...facts, labels});
  expect(page).not.toContain('<img');
  expect(page.match(/<\/script>/g)!.length).toBe(2); // those of the page itself
  const [, json] = /<script type="application\/json" id="facts">(.*?)<\/script>/s.exec(page)!;
  expect(JSON.parse(json!).labels).toEqual(labels);
});

test('without onnxruntime-web it is said how to get it', () => {
  expect(() => findRuntime([folder])).toThrow(
    expect.objectContaining({code: 'EXPORT_REFUSED', hint: expect.stringContaining('npm install')}),
  );
  expect(findRuntime().map(({name}) => name)).toEqual(['ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm']);
});
