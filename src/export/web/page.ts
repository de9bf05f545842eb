/** The page of the web form: one file, no address but its own folder. Drop a photograph, see the best classes and the time. */
import {script} from './script.js';
import {style} from './style.js';

export interface PageFacts {
  /** `resnet18`, or the file's name. */
  readonly name: string;
  /** Names of the files beside the page: the model, onnxruntime-web's module and its WebAssembly. */
  readonly model: string;
  readonly runtime: string;
  readonly wasm: string;
  readonly modelBytes: number;
  /** `float16 weights and arithmetic`. */
  readonly precision: string;
  /** In the order of the classes; absent: classes are numbered. */
  readonly labels: readonly string[] | undefined;
  /** How many classes are shown. */
  readonly topK: number;
}

const entities: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;'};
const escaped = (text: string): string => text.replace(/[&<>"]/g, (c) => entities[c]!);
/** JSON between script tags: neither `</script>` nor `<!--` may appear. */
const inScript = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c');

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export const renderPage = (facts: PageFacts): string => `<!doctype html>
<html lang="en" data-state="loading">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; img-src 'self' blob: data:; worker-src 'self' blob:; connect-src 'self'">
<link rel="icon" href="data:,">
<title>${escaped(facts.name)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escaped(facts.name)}</h1>
<p>Photographs stay on this device: the network runs in the browser.</p>
</header>
<main>
<label id="drop">
<input id="file" type="file" accept="image/*">
<canvas id="view" role="img" aria-label="the photograph" hidden></canvas>
<span id="invitation"><strong>Drop a photograph</strong><span>or click to choose one, or paste it</span></span>
</label>
<section id="answer" aria-live="polite">
<p id="status">loading the network …</p>
<ol id="classes"></ol>
<dl id="times" hidden><dt>network</dt><dd id="run"></dd><dt>decoding</dt><dd id="decode"></dd><dt>photograph</dt><dd id="size"></dd></dl>
</section>
</main>
<footer>${escaped(facts.precision)} · ${megabytes(facts.modelBytes)} · onnxruntime-web, WebAssembly, <span id="loaded">one thread</span></footer>
<script type="application/json" id="facts">${inScript(facts)}</script>
<script type="module">${script}</script>
</body>
</html>
`;
