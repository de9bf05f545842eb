/**
 * What runs in the page, as text: browsers load it as it is. It says how far it is in `data-state` of the document: loading, ready,
 * running, done, failed. The pixels reach the network as the file has them: no rotation by EXIF and no colour profile, as in `gpd eval`.
 */
export const script = `
const facts = JSON.parse(document.getElementById('facts').textContent);
const $ = (id) => document.getElementById(id);
const state = (name, text = '') => { document.documentElement.dataset.state = name; $('status').textContent = text; };
const ms = (t) => (t < 9.95 ? t.toFixed(1) : Math.round(t)) + ' ms';
const MAX_PIXELS = 24e6; // larger photographs are shrunk by the browser first: memory of a page is limited
const TINY = 128;
const SMALL = 8;

const ort = await import(new URL(facts.runtime, document.baseURI)).catch((error) => fail('onnxruntime-web could not be loaded', error));
let session;

function fail(what, error) {
  $('classes').replaceChildren();
  $('times').hidden = true;
  state('failed', what + ': ' + error.message);
  throw error;
}

async function load() {
  const start = performance.now();
  ort.env.wasm.numThreads = 1; // more need headers that a plain static server does not send
  ort.env.wasm.wasmPaths = {wasm: new URL(facts.wasm, document.baseURI).href};
  session = await ort.InferenceSession.create(new URL(facts.model, document.baseURI).href, {executionProviders: ['wasm']});
  await session.run({[session.inputNames[0]]: new ort.Tensor('uint8', new Uint8Array(SMALL * SMALL * 3), [1, SMALL, SMALL, 3])}); // the first run is slow
  $('loaded').textContent = 'loaded in ' + ms(performance.now() - start);
  state('ready', 'Ready: the best ' + facts.topK + ' classes will be here.');
}

async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file, {imageOrientation: 'none', colorSpaceConversion: 'none', premultiplyAlpha: 'none'});
  const shrink = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  const canvas = $('view');
  canvas.width = Math.max(1, Math.round(bitmap.width * shrink));
  canvas.height = Math.max(1, Math.round(bitmap.height * shrink));
  const context = canvas.getContext('2d', {willReadFrequently: true, alpha: false});
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  canvas.classList.toggle('tiny', Math.max(canvas.width, canvas.height) <= TINY);
  const {data, width, height} = context.getImageData(0, 0, canvas.width, canvas.height);
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from];
    rgb[to + 1] = data[from + 1];
    rgb[to + 2] = data[from + 2];
  }
  return new ort.Tensor('uint8', rgb, [1, height, width, 3]);
}

function show(probabilities, classes) {
  const items = Array.from(classes, (c, i) => {
    const share = (100 * probabilities[i]).toFixed(1) + ' %';
    const item = document.createElement('li');
    item.style.setProperty('--share', share.replace(' ', ''));
    item.dataset.class = String(c);
    for (const [name, text] of [['name', facts.labels?.[Number(c)] ?? 'class ' + c], ['share', share]]) {
      const span = document.createElement('span');
      span.className = name;
      span.textContent = text;
      item.append(span);
    }
    return item;
  });
  $('classes').replaceChildren(...items);
}

let turn = Promise.resolve();
const classify = (file) => (turn = turn.then(() => run(file), () => run(file)));

async function run(file) {
  await ready;
  state('running', 'looking …');
  $('classes').replaceChildren();
  try {
    const start = performance.now();
    const image = await pixelsOf(file);
    $('view').hidden = false;
    $('invitation').hidden = true;
    $('drop').classList.add('filled');
    await new Promise((done) => setTimeout(done, 30)); // the photograph is drawn before the network takes the thread
    const decoded = performance.now() - start - 30;
    const before = performance.now();
    const {top_scores: scores, top_classes: classes} = await session.run({[session.inputNames[0]]: image});
    $('run').textContent = ms(performance.now() - before);
    $('decode').textContent = ms(Math.max(0, decoded));
    $('size').textContent = image.dims[2] + ' × ' + image.dims[1] + ' px';
    show(scores.data, classes.data);
    $('times').hidden = false;
    state('done');
  } catch (error) {
    fail('this photograph could not be classified', error);
  }
}

const ready = load().catch((error) => fail('the network could not be loaded', error));
$('file').addEventListener('change', ({target}) => { if (target.files[0]) classify(target.files[0]); target.value = ''; });
addEventListener('dragover', (event) => { event.preventDefault(); $('drop').classList.add('over'); });
addEventListener('dragleave', (event) => { if (!event.relatedTarget) $('drop').classList.remove('over'); });
addEventListener('drop', (event) => {
  event.preventDefault();
  $('drop').classList.remove('over');
  const file = event.dataTransfer.files[0];
  if (file) classify(file);
});
addEventListener('paste', (event) => { const file = event.clipboardData.files[0]; if (file) classify(file); });
`;
