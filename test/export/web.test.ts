/** The web form in a real browser, behind servers as they are shipped: the classes that Node finds, and words where something is missing. */
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import sharp from 'sharp';
import {random} from '../../src/core/random.js';
import {tensor, toFloat32} from '../../src/core/tensor.js';
import {renderWebPage} from '../../src/export/web/page.js';
import {findRuntime} from '../../src/export/web/runtime.js';
import {openSession} from '../../src/onnx/session.js';
import {exportFile} from '../../src/workflows/export/export.js';
import type {ExportFileOptions} from '../../src/workflows/export/options.js';
import {fixtureNamed, fixturePath} from '../cases.js';
import {has, type Need, testWith} from '../optional.js';
import {Page} from './browser.js';
import {type Server, serve, serveBy, serveByBusybox, serveByNginx} from './web-servers.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-web-'));
const web = join(folder, 'demo.web');
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const FILE = 'cifar_resnet20_r2_orepa.pth.tar';
const labels = Array.from({length: 10}, (_, i) => (i === 2 ? '</script><b>"&' : `class ${i}`));
const options: ExportFileOptions = {output: web, force: true, formats: ['web'], calibrationSamples: 1, rounds: 0};
let made: ReturnType<typeof exportFile> | undefined;
/** Once for all tests. */
const exported = () => (made ??= exportFile(fixturePath(FILE), {...options, ...fixtureNamed(FILE).flags, labels: undefined}));

/** Smooth enough for a JPEG to keep it, and unlike itself when it is turned. */
async function photograph(name: string, width: number, height: number, orientation?: number): Promise<string> {
  const {uniform} = random('photograph');
  const coarse = Uint8Array.from({length: 5 * 4 * 3}, () => Math.floor(256 * uniform()));
  const path = join(folder, name);
  const enlarged = sharp(coarse, {raw: {width: 5, height: 4, channels: 3}}).resize(width, height, {
    fit: 'fill',
    kernel: 'cubic',
  });
  const tagged = orientation === undefined ? enlarged : enlarged.withMetadata({orientation});
  writeFileSync(path, await tagged.jpeg({quality: 95}).toBuffer());
  return path;
}

interface Answer {
  classes: number[];
  scores: Float32Array;
}
/** Of the pixels as they are stored, or turned upright as EXIF says. */
async function inNode(path: string, {upright = false} = {}): Promise<Answer> {
  const pipeline = upright ? sharp(readFileSync(path)).rotate() : sharp(readFileSync(path));
  const {data, info} = await pipeline.raw().toBuffer({resolveWithObject: true});
  const session = await openSession(join(web, 'model.onnx'));
  const results = await session.run(
    new Map([['image', tensor('uint8', [1, info.height, info.width, 3], new Uint8Array(data))]]),
  );
  await session.close();
  return {
    classes: Array.from(results.get('top_classes')!.data as BigInt64Array, Number),
    scores: toFloat32(results.get('top_scores')!).data,
  };
}

async function expectAnswer(page: Page, {classes, scores}: Answer): Promise<void> {
  const found = await page.evaluate<{class: string; share: string}[]>(
    `[...document.querySelectorAll('#classes li')].map((li) => ({class: li.dataset.class, share: li.querySelector('.share').textContent}))`,
  );
  expect(found.map((item) => Number(item.class))).toEqual(classes);
  // Chromium's JPEG decoder may differ from libvips' by a level or two in a few pixels; shares are shown to a tenth of a percent.
  for (const [i, {share}] of found.entries()) expect(Math.abs(Number.parseFloat(share) - 100 * scores[i]!)).toBeLessThan(0.5);
}

async function visit(url: string, body: (page: Page) => Promise<void>, size?: {width: number; height: number}): Promise<void> {
  const page = new Page();
  try {
    await page.open(url, size);
    await body(page);
  } finally {
    await page.close();
  }
}

const READY = 'Ready: the best 5 classes will be here.';
async function loaded(page: Page): Promise<void> {
  expect([await page.state('ready', 'failed'), await page.text('status'), page.console]).toEqual(['ready', READY, []]);
}

testWith('chromium', 'a photograph gets the classes that Node gives it, and nothing comes from elsewhere', async () => {
  const report = await exported();
  expect(report.forms[0]!.check).toMatchObject({ok: true, sameTop1: 6});
  const path = await photograph('photograph.jpg', 250, 200);
  const expected = await inNode(path);
  const server = await serve(web);
  try {
    await visit(server.url, async (page) => {
      await loaded(page);
      await page.choose(path);
      expect([await page.state('done', 'failed'), page.console]).toEqual(['done', []]);
      await expectAnswer(page, expected);
      expect(server.requested.sort()).toEqual(['/', '/model.onnx', '/ort-wasm-simd-threaded.wasm', '/ort.wasm.bundle.min.js']);
      expect(await page.text('size')).toBe('250 × 200 px');
      writeFileSync(join(folder, 'no-image.jpg'), 'not an image');
      await page.choose(join(folder, 'no-image.jpg'));
      expect(await page.state('failed')).toBe('failed');
      await page.choose(path);
      expect(await page.state('done')).toBe('done'); // a bad file does not end the page
    });
  } finally {
    await server.close();
  }
});

const servers: readonly [name: Need, start: (folder: string) => Promise<Server>][] = [
  ['nginx-light', serveByNginx],
  ['busybox', serveByBusybox],
];
describe.each(servers)('%s as it is shipped', (need, start) => {
  testWith(has('chromium') ? need : 'chromium', 'loads the network and answers', async () => {
    await exported();
    const server = await start(web);
    try {
      await visit(server.url, async (page) => {
        await loaded(page);
        await page.choose(await photograph('photograph.jpg', 250, 200));
        expect(await page.state('done', 'failed')).toBe('done');
      });
    } finally {
      await server.close();
    }
  });
});

testWith('chromium', 'a photograph that is stored turned is shown and classified upright, as its EXIF says', async () => {
  await exported();
  const path = await photograph('turned.jpg', 250, 200, 6);
  const [upright, stored] = [await inNode(path, {upright: true}), await inNode(path)];
  expect(upright.scores).not.toEqual(stored.scores);
  const server = await serve(web);
  try {
    await visit(server.url, async (page) => {
      await loaded(page);
      await page.choose(path);
      expect(await page.state('done', 'failed')).toBe('done');
      expect(await page.text('size')).toBe('200 × 250 px');
      await expectAnswer(page, upright);
    });
  } finally {
    await server.close();
  }
});

testWith('chromium', 'the whole photograph is seen, upright or wide, on a desk and on a telephone', async () => {
  await exported();
  const server = await serve(web);
  const shapes = [await photograph('upright.jpg', 200, 340), await photograph('wide.jpg', 400, 150)];
  try {
    for (const size of [
      {width: 1280, height: 800},
      {width: 390, height: 844},
    ])
      await visit(
        server.url,
        async (page) => {
          await loaded(page);
          for (const path of shapes) {
            await page.choose(path);
            expect(await page.state('done', 'failed')).toBe('done');
            const boxes = await page.evaluate<
              Record<'view' | 'drop', {top: number; bottom: number; left: number; right: number}>
            >(
              `Object.fromEntries(['view', 'drop'].map((id) => [id, document.getElementById(id).getBoundingClientRect().toJSON()]))`,
            );
            expect(await page.evaluate('getComputedStyle(document.getElementById("view")).objectFit')).toBe('contain');
            expect(boxes.view.bottom).toBeLessThanOrEqual(boxes.drop.bottom);
            expect(boxes.view.right).toBeLessThanOrEqual(boxes.drop.right);
            expect(Math.min(boxes.view.top - boxes.drop.top, boxes.view.left - boxes.drop.left)).toBeGreaterThanOrEqual(0);
            expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
            await page.evaluate(`document.documentElement.dataset.state = 'ready'`);
          }
        },
        size,
      );
  } finally {
    await server.close();
  }
});

testWith('chromium', 'while it loads, the page counts bytes and shows a photograph that was chosen already', async () => {
  await exported();
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const server = await serveBy(async (request, response) => {
    const name = request.url === '/' ? 'index.html' : request.url!.slice(1);
    const bytes = readFileSync(join(web, name));
    response.writeHead(200, name === 'index.html' ? {'Content-Type': 'text/html'} : {});
    if (!name.endsWith('.wasm')) return void response.end(bytes);
    response.write(bytes.subarray(0, 5_000_000));
    await held;
    response.end(bytes.subarray(5_000_000));
  });
  try {
    await visit(server.url, async (page) => {
      const counted = async () => /^(5|6)\.\d of 1\d\.\d MB$/.test(await page.text('loading').catch(() => ''));
      while (!(await counted())) await new Promise((resolve) => setTimeout(resolve, 50));
      expect(await page.evaluate('document.getElementById("progress").position')).toBeCloseTo(0.35, 1);
      await page.choose(await photograph('photograph.jpg', 250, 200));
      while (await page.evaluate('document.getElementById("view").hidden'))
        await new Promise((resolve) => setTimeout(resolve, 50));
      expect([await page.state('loading'), await page.text('status')]).toEqual([
        'loading',
        'loading the network, then looking …',
      ]);
      release();
      expect(await page.state('done', 'failed')).toBe('done');
    });
  } finally {
    await server.close();
  }
});

const isOff = 'document.getElementById("file").disabled && document.getElementById("drop").classList.contains("off")';

testWith('chromium', 'opened as a file, the page says how to serve it and invites nobody', () =>
  exported().then(() =>
    visit(pathToFileURL(join(web, 'index.html')).href, async (page) => {
      expect(await page.state('ready', 'failed')).toBe('failed');
      expect(await page.text('status')).toMatch(/opened as a file/);
      expect(await page.evaluate('document.getElementById("serve").innerText')).toMatch(/python3 -m http\.server/);
      expect([await page.evaluate(isOff), page.console]).toEqual([true, []]);
    }),
  ),
);

testWith('chromium', 'a file that is missing or is another one is named', async () => {
  await exported();
  const broken = join(folder, 'broken');
  mkdirSync(broken);
  for (const name of ['index.html', 'ort.wasm.bundle.min.js', 'ort-wasm-simd-threaded.wasm'])
    writeFileSync(join(broken, name), readFileSync(join(web, name)));
  const server = await serve(broken);
  const status = async () => {
    let text = '';
    await visit(server.url, async (page) => {
      expect(await page.state('ready', 'failed')).toBe('failed');
      expect(await page.evaluate(isOff)).toBe(true);
      text = await page.text('status');
    });
    return text;
  };
  try {
    expect(await status()).toMatch(/the server answers 404 for model\.onnx/);
    writeFileSync(join(broken, 'model.onnx'), '<!doctype html>');
    expect(await status()).toMatch(/the server sends 15 bytes for model\.onnx, which has \d+/);
  } finally {
    await server.close();
  }
});

test('labels and names cannot leave their place in the page', () => {
  const file = (name: string) => ({name, bytes: 1});
  const files = {model: file('model.onnx'), runtime: file('ort.js'), wasm: file('ort.wasm')};
  const page = renderWebPage({...files, name: '<img src=x>', precision: '"quoted"', topK: 5, labels});
  expect(page).not.toContain('<img');
  expect(page.match(/<\/script>/g)!.length).toBe(2); // those of the page itself
  const [, json] = /<script type="application\/json" id="facts">(.*?)<\/script>/s.exec(page)!;
  expect(JSON.parse(json!).labels).toEqual(labels);
});

test('without onnxruntime-web it is said how to get it', () => {
  expect(() => findRuntime([folder])).toThrow(
    expect.objectContaining({code: 'EXPORT_REFUSED', hint: expect.stringContaining('npm install')}),
  );
  const {runtime, wasm} = findRuntime();
  expect([runtime.name, wasm.name]).toEqual(['ort.wasm.bundle.min.js', 'ort-wasm-simd-threaded.wasm']);
});
