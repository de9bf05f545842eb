/** The report's appearance: light and dark, on paper and on a phone. No fonts, images or scripts from anywhere. */
import {Html} from './html.js';

export const style = new Html(`
:root { color-scheme: light dark; --paper: #fff; --ink: #1c1f24; --soft: #667080; --line: #e3e7ec; --card: #f6f8fa;
  --good: #1a7f37; --bad: #c4320a; --c1: #3b6fd4; --c2: #d9822b; --c3: #2e9e7a; --c4: #a855b5; --c5: #c2414b; --c6: #6b7a8f; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --ink: #e6e9ee; --soft: #97a1b0; --line: #2b313a; --card: #1c2027;
  --good: #4cc38a; --bad: #ff8b6b; --c1: #7aa2f7; --c2: #f0a860; --c3: #5fd0aa; --c4: #cf8edb; --c5: #f07f87; --c6: #a3b0c2; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .4rem 0; } .soft, figcaption, th { color: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.notice { border-left: 4px solid var(--bad); background: var(--card); padding: .5rem .8rem; }
.scroll { overflow-x: auto; } .charts + .scroll { margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; overflow-wrap: normal; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child:not(:has(span)) { min-width: 8rem; overflow-wrap: anywhere; }
th { font-weight: 500; white-space: nowrap; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1rem; align-items: start; }
figure { margin: 0; padding: .8rem; background: var(--card); border-radius: .5rem; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; } figcaption { font-size: .85rem; margin-bottom: .4rem; }
.images { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .8rem; }
.images figure { padding: .5rem; font-size: .8rem; line-height: 1.35; }
.images img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--line); border-radius: .3rem; margin-bottom: .4rem; image-rendering: auto; }
.images .tiny { image-rendering: pixelated; }
pre { background: var(--card); padding: .8rem; border-radius: .5rem; white-space: pre-wrap; font-size: .85rem; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; font-size: .9rem; } dt { color: var(--soft); } dd { margin: 0; }
@media (max-width: 30rem) { dl { grid-template-columns: minmax(0, 8rem) 1fr; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #555; --line: #ccc; --card: #fff; --good: #1a7f37; --bad: #c4320a;
    --c1: #3b6fd4; --c2: #d9822b; --c3: #2e9e7a; --c4: #a855b5; --c5: #c2414b; --c6: #6b7a8f; }
  body { max-width: none; padding: 0; font-size: 10pt; } figure { border: 1px solid var(--line); } h2, h3 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
`);
