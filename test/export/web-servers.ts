/** Servers that a folder of the web form may be put behind, each with the MIME table that it is shipped with. */
import {type ChildProcess, spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer, type RequestListener} from 'node:http';
import {type AddressInfo, connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join, normalize} from 'node:path';

export interface Server {
  readonly url: string;
  close(): Promise<void>;
}

const listening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy() !== undefined));
    socket.on('error', () => resolve(false));
  });

export async function serveBy(listener: RequestListener): Promise<Server> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return {url: `http://127.0.0.1:${port}/`, close};
}

/** Nothing has a type, not even the page's script. `requested` collects what was asked for. */
export async function serve(folder: string): Promise<Server & {requested: string[]}> {
  const requested: string[] = [];
  const server = await serveBy((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url!, 'http://x').pathname));
    requested.push(path);
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path);
    const type = file.endsWith('.html') ? 'text/html' : 'application/octet-stream';
    if (!existsSync(file)) response.writeHead(404).end();
    else response.writeHead(200, {'Content-Type': type}).end(readFileSync(file));
  });
  return {...server, requested};
}

async function freePort(): Promise<number> {
  const server = await serveBy(() => {});
  await server.close();
  return Number(new URL(server.url).port);
}

/** A program that serves until it is told to end. */
async function serveWith(port: number, command: string, args: readonly string[], ended: () => void): Promise<Server> {
  const child: ChildProcess = spawn(command, args, {stdio: 'ignore'});
  const exit = new Promise((resolve) => child.once('exit', resolve));
  while (!(await listening(port))) {
    if (child.exitCode !== null) throw new Error(`${command} ended with status ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const close = async () => {
    child.kill('SIGTERM');
    await exit;
    ended();
  };
  return {url: `http://127.0.0.1:${port}/`, close};
}

/** Debian's nginx with its own mime.types, in the foreground, with every file that it writes in a folder of its own. */
export async function serveByNginx(folder: string): Promise<Server> {
  const own = mkdtempSync(join(tmpdir(), 'gpd-nginx-'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${own}/${name};`);
  writeFileSync(
    join(own, 'nginx.conf'),
    `daemon off; master_process off; pid ${own}/pid; error_log ${own}/error.log; events {}
http { include /etc/nginx/mime.types; default_type application/octet-stream; access_log off; ${temporary.join(' ')}
server { listen 127.0.0.1:${port}; root ${folder}; } }\n`,
  );
  const config = ['-e', join(own, 'error.log'), '-c', join(own, 'nginx.conf')];
  return serveWith(port, '/usr/sbin/nginx', config, () => rmSync(own, {recursive: true, force: true}));
}

export async function serveByBusybox(folder: string): Promise<Server> {
  const port = await freePort();
  return serveWith(port, 'busybox', ['httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', folder], () => {});
}
