/** Headless Chromium by its own protocol over a pipe: no package needed. https://chromedevtools.github.io/devtools-protocol/ */
import {type ChildProcess, spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Readable, Writable} from 'node:stream';
import {chromium} from '../optional.js';

type Json = Record<string, unknown>;

/** One page. */
export class Page {
  private readonly profile = mkdtempSync(join(tmpdir(), 'gpd-chromium-'));
  private readonly child: ChildProcess;
  private readonly pending = new Map<number, {resolve: (result: Json) => void; reject: (error: Error) => void}>();
  private session: string | undefined;
  private next = 1;
  readonly console: string[] = [];

  constructor() {
    const flags = [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-breakpad',
      '--remote-debugging-pipe',
    ];
    // A group of its own: its helpers end with it.
    const options = {detached: true, stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as ('ignore' | 'pipe')[]};
    this.child = spawn(chromium!, [...flags, `--user-data-dir=${this.profile}`, 'about:blank'], options);
    let rest = '';
    (this.child.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\0');
      rest = parts.pop()!;
      for (const part of parts) this.receive(JSON.parse(part));
    });
    this.child.on('exit', () => {
      for (const {reject} of this.pending.values()) reject(new Error('Chromium ended'));
    });
  }

  async open(url: string, {width = 1000, height = 720} = {}): Promise<void> {
    const {targetId} = await this.send('Target.createTarget', {url: 'about:blank'});
    const {sessionId} = await this.send('Target.attachToTarget', {targetId, flatten: true});
    this.session = sessionId as string;
    await this.send('Runtime.enable');
    await this.send('DOM.enable');
    await this.send('Emulation.setDeviceMetricsOverride', {width, height, deviceScaleFactor: 1, mobile: false});
    await this.send('Page.navigate', {url});
  }

  async evaluate<T>(expression: string): Promise<T> {
    const {result, exceptionDetails} = await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return (result as {value: T}).value;
  }

  /** The page says in `data-state` how far it is. */
  async state(...wanted: string[]): Promise<string> {
    for (;;) {
      const state = await this.evaluate<string | undefined>('document.documentElement?.dataset.state');
      if (state !== undefined && wanted.includes(state)) return state;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Text of an element by its id. */
  text(id: string): Promise<string> {
    return this.evaluate<string>(`document.getElementById(${JSON.stringify(id)}).textContent`);
  }

  /** As if a person had chosen the file. */
  async choose(file: string): Promise<void> {
    const {root} = (await this.send('DOM.getDocument')) as {root: {nodeId: number}};
    const {nodeId} = await this.send('DOM.querySelector', {nodeId: root.nodeId, selector: 'input[type=file]'});
    await this.send('DOM.setFileInputFiles', {nodeId, files: [file]});
  }

  async screenshot(): Promise<Uint8Array> {
    const {data} = await this.send('Page.captureScreenshot', {format: 'png'});
    return Buffer.from(data as string, 'base64');
  }

  /** Chromium is asked to end, and made to. Its helpers may still write for a moment: the profile is removed once they let it. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.session = undefined;
    this.send('Browser.close').catch(() => {});
    const late = setTimeout(() => process.kill(-this.child.pid!, 'SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
    try {
      process.kill(-this.child.pid!, 'SIGKILL');
    } catch {
      // Nobody is left.
    }
    for (let i = 0; ; i++) {
      try {
        return rmSync(this.profile, {recursive: true, force: true});
      } catch (error) {
        if (i === 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  private send(method: string, params: Json = {}): Promise<Json> {
    const id = this.next++;
    const message = {id, method, params, ...(this.session !== undefined && {sessionId: this.session})};
    (this.child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    return new Promise((resolve, reject) => this.pending.set(id, {resolve, reject}));
  }

  private receive({
    id,
    method,
    params,
    result,
    error,
  }: {
    id?: number;
    method?: string;
    params?: Json;
    result?: Json;
    error?: Json;
  }): void {
    if (method === 'Runtime.exceptionThrown' || method === 'Runtime.consoleAPICalled')
      this.console.push(JSON.stringify(params));
    const pending = id === undefined ? undefined : this.pending.get(id);
    if (!pending) return;
    this.pending.delete(id!);
    if (error) pending.reject(new Error(JSON.stringify(error)));
    else pending.resolve(result ?? {});
  }
}
