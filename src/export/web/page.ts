/** The page of the web form: one file, no address but its own folder. Drop a photograph, see the best classes and the time. */
import {join} from 'node:path';
import {fileSource} from '../../core/bytes.js';
import {webStyle} from './style.js';

/** A file beside the page. Its size lets the page show how much is still to come, and notice what is not whole. */
export interface PageFile {
  readonly name: string;
  readonly bytes: number;
}

export interface PageFacts {
  /** `resnet18`, or the file's name. */
  readonly name: string;
  readonly model: PageFile;
  /** onnxruntime-web's module, and its WebAssembly. */
  readonly runtime: PageFile;
  readonly wasm: PageFile;
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

/** script.js lies beside this file: compiler and linter see it as what it is. */
function script(): string {
  const source = fileSource(join(import.meta.dirname ?? __dirname, 'script.js'));
  try {
    return new TextDecoder().decode(source.read(0, source.size)).replace(/^\/\/# sourceMappingURL=.*\n?/m, '');
  } finally {
    source.close();
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export const renderWebPage = (facts: PageFacts): string => `<!doctype html>
<html lang="en" data-state="loading">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; style-src 'unsafe-inline'; img-src data:; connect-src 'self'">
<link rel="icon" href="data:,">
<title>${escaped(facts.name)}</title>
<style>${webStyle}</style>
</head>
<body>
<noscript>This page needs JavaScript.</noscript>
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
<section id="answer">
<p id="status" role="status">loading the network …</p>
<p id="download"><progress id="progress" max="1" value="0" aria-label="network loaded"></progress><span id="loading"></span></p>
<div id="serve" hidden><p>Run one of these in its folder, and open the address that it prints:</p><pre>npx http-server
python3 -m http.server</pre></div>
<ol id="classes" aria-live="polite"></ol>
<dl id="times" hidden><dt>network</dt><dd id="run"></dd><dt>decoding</dt><dd id="decode"></dd><dt>photograph</dt><dd id="size"></dd></dl>
</section>
</main>
<footer>${escaped(facts.precision)} · ${megabytes(facts.model.bytes)} · onnxruntime-web, WebAssembly, <span id="loaded">one thread</span></footer>
<script type="application/json" id="facts">${inScript(facts)}</script>
<script type="module">${script()}</script>
</body>
</html>
`;
