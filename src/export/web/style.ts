/** How the page of the web form looks: light and dark, wide and narrow; no fonts or images from anywhere. */
export const webStyle = `
:root { color-scheme: light dark; --paper: #f5f6f8; --card: #fff; --ink: #171a1f; --soft: #616b7a; --line: #d9dee5; --mark: #2f6fe4; --bar: #dbe7fd; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #101317; --card: #191d23; --ink: #e8ebf0; --soft: #98a2b1; --line: #2c333d; --mark: #7aa7ff; --bar: #22355a; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; min-height: 100vh; padding: 2rem 1.25rem; display: flex; flex-direction: column; gap: 1.5rem;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere; } header p { margin: .25rem 0 0; color: var(--soft); }
main { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1.5rem; align-items: start; }
@media (max-width: 42rem) { main { grid-template-columns: minmax(0, 1fr); } #drop.off:not(.filled) { display: none; } }
#drop, #answer { background: var(--card); border-radius: .75rem; }
#drop { position: relative; display: grid; place-items: center; aspect-ratio: 1; overflow: hidden; cursor: pointer; border: 2px dashed var(--line); transition: border-color .15s; }
#drop:hover, #drop.over, #drop:focus-within { border-color: var(--mark); } #drop.over { background: var(--bar); }
#drop.filled { border-style: solid; }
#file { position: absolute; opacity: 0; width: 1px; height: 1px; }
#drop.off { cursor: default; border-color: var(--line); } #drop.off #invitation { visibility: hidden; }
#view { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; } #view.tiny { image-rendering: pixelated; }
#invitation { display: grid; text-align: center; gap: .25rem; padding: 1rem; color: var(--soft); } #invitation strong { color: var(--ink); font-size: 1.1rem; }
[hidden] { display: none !important; }
#answer { padding: 1.25rem; border: 1px solid var(--line); }
#status { margin: 0; color: var(--soft); } [data-state=failed] #status { color: var(--bad); } #status:empty { display: none; }
#download { display: flex; align-items: center; gap: .75rem; margin: .75rem 0 0; color: var(--soft); font-size: .9rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
html:not([data-state=loading]) #download { display: none; } progress { flex: 1; min-width: 0; height: .5rem; accent-color: var(--mark); }
#serve p { margin: .75rem 0 .5rem; } pre { margin: 0; padding: .75rem; border-radius: .5rem; overflow-x: auto; background: var(--paper); font-size: .9rem; }
#classes { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem; }
#classes li { position: relative; display: flex; justify-content: space-between; gap: 1rem; padding: .5rem .75rem; border-radius: .5rem; overflow: hidden; }
#classes li::before { content: ''; position: absolute; inset: 0; width: var(--share); background: var(--bar); border-radius: .5rem; transition: width .3s; }
#classes span { position: relative; } #classes .name { overflow-wrap: anywhere; } #classes .share { font-variant-numeric: tabular-nums; color: var(--soft); white-space: nowrap; }
#classes li:first-child .name { font-weight: 600; }
#times { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1.25rem 0 0; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .9rem; }
dt { color: var(--soft); } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
footer { margin-top: auto; color: var(--soft); font-size: .85rem; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
`;
