/**
 * What runs in the page: loads the network, shows a photograph, and names its best classes. `data-state` of the document says how far it
 * is: loading, ready, running, done, failed. Every file is fetched as bytes and counted, so that no server has to know its type.
 */

/** @typedef {{name: string, bytes: number}} PageFile */
/** @typedef {{runtime: PageFile, wasm: PageFile, model: PageFile, labels?: string[], topK: number}} Facts */

const MAX_PIXELS = 24e6; // larger photographs are shrunk by the browser first: the memory of a page is limited
const TINY = 128; // pixels a side, up to which a photograph is enlarged without smoothing
const SMALL = 8;

/** @param {string} id */
const $ = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const input = /** @type {HTMLInputElement} */ ($('file'));
const canvas = /** @type {HTMLCanvasElement} */ ($('view'));
const progress = /** @type {HTMLProgressElement} */ ($('progress'));
const facts = /** @type {Facts} */ (JSON.parse($('facts').textContent ?? ''));

/** @param {number} t milliseconds */
const time = (t) => (t < 9.95 ? `${t.toFixed(1)} ms` : t < 999.5 ? `${Math.round(t)} ms` : `${(t / 1000).toFixed(1)} s`);
/** @param {number} bytes */
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
/** @param {string} name @param {string} [text] */
function state(name, text = '') {
  document.documentElement.dataset['state'] = name;
  $('status').textContent = text;
}
/** @param {string} what @param {unknown} error */
function fail(what, error) {
  $('classes').replaceChildren();
  $('times').hidden = true;
  state('failed', `${what}: ${error instanceof Error ? error.message : error}`);
}

/** One file beside the page, whole. @param {PageFile} file @param {(bytes: number) => void} onBytes */
async function bytesOf({name, bytes}, onBytes) {
  const response = await fetch(new URL(name, document.baseURI)).catch((error) => {
    throw new Error(`${name} cannot be fetched (${error.message})`);
  });
  if (!response.ok || !response.body) throw new Error(`the server answers ${response.status} for ${name}`);
  const whole = new Uint8Array(bytes);
  let size = 0;
  for (const reader = response.body.getReader(); ; ) {
    const {done, value} = await reader.read();
    if (done) break;
    if (size + value.length <= bytes) whole.set(value, size);
    size += value.length;
    onBytes(value.length);
  }
  if (size !== bytes)
    throw new Error(`the server sends ${size} bytes for ${name}, which has ${bytes}: upload the folder again`);
  return whole;
}

/** The three files side by side, with a bar that counts their bytes. */
async function fetchAll() {
  const files = [facts.runtime, facts.wasm, facts.model];
  const total = files.reduce((sum, {bytes}) => sum + bytes, 0);
  let done = 0;
  progress.max = total;
  return Promise.all(
    files.map((file) =>
      bytesOf(file, (bytes) => {
        done = Math.min(total, done + bytes);
        progress.value = done;
        $('loading').textContent = `${megabytes(done)} of ${megabytes(total)} MB`;
      }),
    ),
  );
}

/** A module needs a server that calls it JavaScript; the same bytes as a blob do not. @param {Uint8Array<ArrayBuffer>} bytes */
async function importBytes(bytes) {
  const url = URL.createObjectURL(new Blob([bytes], {type: 'text/javascript'}));
  try {
    return await import(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** onnxruntime-web and a session of it that has run once: the first run is slow. */
async function load() {
  if (typeof WebAssembly === 'undefined') throw new Error('this browser has no WebAssembly, or it is switched off');
  const start = performance.now();
  const [runtime, wasm, model] = await fetchAll();
  const ort = await importBytes(/** @type {Uint8Array<ArrayBuffer>} */ (runtime));
  ort.env.wasm.numThreads = 1; // more need headers that a plain static server does not send
  ort.env.wasm.wasmBinary = /** @type {Uint8Array<ArrayBuffer>} */ (wasm).buffer;
  const session = await ort.InferenceSession.create(model, {executionProviders: ['wasm']});
  const [name] = session.inputNames;
  /** @param {Uint8Array} rgb @param {number} width @param {number} height */
  const run = (rgb, width, height) => session.run({[name]: new ort.Tensor('uint8', rgb, [1, height, width, 3])});
  await run(new Uint8Array(SMALL * SMALL * 3), SMALL, SMALL);
  $('loaded').textContent = `loaded in ${time(performance.now() - start)}`;
  return run;
}

/** Draws a photograph upright, as the camera noted in it, and gives its pixels. @param {Blob} file */
async function show(file) {
  const start = performance.now();
  const bitmap = await createImageBitmap(file, {
    imageOrientation: 'from-image',
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
  const {width: w, height: h} = bitmap;
  const shrink = Math.min(1, Math.sqrt(MAX_PIXELS / (w * h)));
  const [width, height] = [Math.max(1, Math.round(w * shrink)), Math.max(1, Math.round(h * shrink))];
  Object.assign(canvas, {width, height});
  const context = canvas.getContext('2d', {willReadFrequently: true, alpha: false});
  if (!context) throw new Error('the browser has no canvas left');
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  canvas.classList.toggle('tiny', Math.max(width, height) <= TINY);
  canvas.hidden = false;
  $('invitation').hidden = true;
  $('drop').classList.add('filled');
  $('size').textContent = `${width} × ${height} px${shrink < 1 ? `, shrunk from ${w} × ${h}` : ''}`;
  const rgb = withoutAlpha(context.getImageData(0, 0, width, height).data);
  $('decode').textContent = time(performance.now() - start);
  return {rgb, width, height};
}

/** @param {Uint8ClampedArray} rgba */
function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = /** @type {number} */ (rgba[from]);
    rgb[to + 1] = /** @type {number} */ (rgba[from + 1]);
    rgb[to + 2] = /** @type {number} */ (rgba[from + 2]);
  }
  return rgb;
}

/** @param {string} className @param {string} text */
function span(className, text) {
  return Object.assign(document.createElement('span'), {className, textContent: text});
}
/** @param {ArrayLike<number>} probabilities @param {ArrayLike<bigint>} classes best first */
function list(probabilities, classes) {
  const items = Array.from(classes, (c, i) => {
    const share = (100 * /** @type {number} */ (probabilities[i])).toFixed(1);
    const item = document.createElement('li');
    item.style.setProperty('--share', `${share}%`);
    item.dataset['class'] = String(c);
    item.append(span('name', facts.labels?.[Number(c)] ?? `class ${c}`), span('share', `${share} %`));
    return item;
  });
  $('classes').replaceChildren(...items);
}

/** Shown at once, also while the network is still loading. @param {Blob} file */
async function classify(file) {
  try {
    const decoding = show(file);
    decoding.catch(() => {}); // told below, once there is a network to be asked
    if (document.documentElement.dataset['state'] === 'loading') state('loading', 'loading the network, then looking …');
    const run = await network;
    if (!run) return;
    state('running', 'looking …');
    $('classes').replaceChildren();
    const {rgb, width, height} = await decoding;
    await new Promise((done) => setTimeout(done, 30)); // the photograph is drawn before the network takes the thread
    const before = performance.now();
    const {top_scores: scores, top_classes: classes} = await run(rgb, width, height);
    $('run').textContent = time(performance.now() - before);
    list(scores.data, classes.data);
    $('times').hidden = false;
    state('done');
  } catch (error) {
    fail('this photograph could not be classified', error);
  }
}

/** One after the other. @type {Promise<void>} */
let turn = Promise.resolve();
/** @param {Blob | null | undefined} file */
function take(file) {
  if (file && !input.disabled) turn = turn.then(() => classify(file));
}

/** Nothing can be classified: nothing is invited. @param {string} what @param {unknown} error */
function giveUp(what, error) {
  input.disabled = true;
  $('drop').classList.add('off');
  fail(what, error);
}

/** Undefined where it could not be loaded. */
async function start() {
  try {
    const run = await load();
    state('ready', `Ready: the best ${facts.topK} classes will be here.`);
    return run;
  } catch (error) {
    giveUp('The network could not be loaded', error);
    return undefined;
  }
}
/** Browsers do not let a page that was opened as a file read the files beside it. */
async function refuseFile() {
  $('serve').hidden = false;
  giveUp('The network could not be loaded', 'opened as a file, this page may not read the files beside it.');
  return undefined;
}

const network = location.protocol === 'file:' ? refuseFile() : start();
input.addEventListener('change', () => {
  take(input.files?.[0]);
  input.value = '';
});
addEventListener('dragover', (event) => {
  event.preventDefault();
  $('drop').classList.toggle('over', !input.disabled);
});
addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) $('drop').classList.remove('over');
});
addEventListener('drop', (event) => {
  event.preventDefault();
  $('drop').classList.remove('over');
  take(event.dataTransfer?.files[0]);
});
addEventListener('paste', (event) => take(event.clipboardData?.files[0]));
