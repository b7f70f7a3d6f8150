/**
 * The real server and the stock client in a network namespace of their own (loopback only):
 *
 *   namespace ocvpn-m<pid>-<n>
 *     vpn serve ── 127.0.0.1:4443 ── openconnect (tun device without a script)
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { embeddedPaths } from '../../src/core/config/embedded.js';
import { callControl } from '../../src/core/control/client.js';
import type { PlainVerb, VerbArgs, VerbResult } from '../../src/core/control/verbs.js';
import { ensureEmbeddedPki } from '../../src/core/pki/embedded-pki.js';
import { certificatePin } from '../../src/core/pki/pin.js';
import { ensureFirstUser } from '../../src/core/users/first-user.js';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/run.js');
const PORT = 4443;
const DEADLINE_MS = 20_000;
let count = 0;

/** Asks again and again until the answer is not null or false; throws with `what` at the deadline. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) {
      return answer as Exclude<T, false | null | undefined>;
    }
    if (performance.now() > deadline) throw new Error(`timed out: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

export class Process {
  readonly child: ChildProcess;
  output = '';
  readonly exited: Promise<number | null>;

  constructor(command: string, args: readonly string[], input = '') {
    this.child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    // It may end without reading; what it says then tells why.
    this.child.stdin?.on('error', () => {});
    this.child.stdin?.end(input);
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.exited = new Promise((done, fail) => {
      // Not 'close': processes that outlive this one hold its pipes.
      this.child.on('exit', done);
      this.child.on('error', fail);
    });
  }

  async says(text: string): Promise<void> {
    await until(`"${text}" in:\n${this.output}`, () => {
      if (!this.output.includes(text) && this.child.exitCode !== null) {
        throw new Error(`it ended without "${text}":\n${this.output}`);
      }
      return this.output.includes(text);
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

export class TestBed {
  readonly dir = mkdtempSync(join(tmpdir(), 'ocvpn-main-'));
  readonly dataDir = join(this.dir, 'data');
  readonly runDir = join(this.dir, 'run');
  readonly netns = `ocvpn-m${process.pid}-${++count}`;
  readonly #processes: Process[] = [];
  #password = '';

  /** Prepares certificate, user and namespace. */
  async setUp(): Promise<void> {
    // Workers run as another user and pass through on their way to secmod's socket.
    chmodSync(this.dir, 0o711);
    execFileSync('ip', ['netns', 'add', this.netns]);
    execFileSync('ip', ['-n', this.netns, 'link', 'set', 'lo', 'up']);
    mkdirSync(this.dataDir, { mode: 0o700 });
    await ensureEmbeddedPki(this.dataDir);
    this.#password = (await ensureFirstUser(this.dataDir)).password ?? '';
  }

  async tearDown(): Promise<void> {
    for (const process of this.#processes) process.kill('SIGKILL');
    for (const pid of this.pids()) killIfThere(pid);
    await until('no process is left', () => this.pids().length === 0);
    execFileSync('ip', ['netns', 'del', this.netns]);
    rmSync(this.dir, { recursive: true });
  }

  /** Processes in the namespace. */
  pids(): number[] {
    const text = execFileSync('ip', ['netns', 'pids', this.netns], { encoding: 'utf8' });
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
  }

  /** Starts `vpn serve` with these options over the defaults of the test; does not wait. */
  serve(
    options: Record<string, unknown> = {},
    { data = this.dataDir, run = this.runDir }: { data?: string; run?: string } = {},
    flags: readonly string[] = [],
  ): Process {
    const file = this.configure(options);
    return this.vpn(['serve', '-c', file, '--data-dir', data, '--run-dir', run, ...flags]);
  }

  /** Writes the configuration file and returns its path. */
  configure(options: Record<string, unknown>): string {
    const { serverCert, serverKey, ocpasswd } = embeddedPaths(this.dataDir);
    const config = {
      auth: [`plain[passwd=${ocpasswd}]`],
      'server-cert': [serverCert],
      'server-key': [serverKey],
      'listen-host': '127.0.0.1',
      'tcp-port': PORT,
      'udp-port': PORT,
      'ipv4-network': '10.200.0.0/24',
      'log-level': 3,
      ...options,
    };
    const file = join(this.dir, 'config.json');
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  socket(role: 'main' | 'secmod' | 'ctl'): string {
    return join(this.runDir, `${role}.sock`);
  }

  /** Accepts one connection and hands it to `vpn worker` as descriptor 3; `flags` are Node's. */
  supervise(flags: readonly string[] = [], env: Record<string, string> = {}): Process {
    const script = `
      const { createServer } = require('node:net');
      const { spawn } = require('node:child_process');
      const server = createServer({ pauseOnConnect: true }, (socket) => {
        const args = ${JSON.stringify([...flags, LAUNCHER, 'worker', '--main', this.socket('main'), '--fd', '3'])};
        spawn(process.execPath, args, { env: { ...process.env, ...${JSON.stringify(env)} }, stdio: ['ignore', 'inherit', 'inherit', socket._handle.fd] })
          .on('spawn', () => { socket.destroy(); server.close(); });
      });
      server.listen(${PORT}, '127.0.0.1', () => console.log('listening'));`;
    return this.run(process.execPath, ['-e', script]);
  }

  async serveReady(...args: Parameters<TestBed['serve']>): Promise<Process> {
    const server = this.serve(...args);
    await server.says('vpn is ready');
    return server;
  }

  vpn(args: readonly string[]): Process {
    return this.run(process.execPath, [LAUNCHER, ...args]);
  }

  run(command: string, args: readonly string[], input = ''): Process {
    const started = new Process('ip', ['netns', 'exec', this.netns, command, ...args], input);
    this.#processes.push(started);
    return started;
  }

  /** The stock client; resolves when its tunnel is up. */
  async connect(args: readonly string[] = []): Promise<Process> {
    const client = this.openconnect(['--passwd-on-stdin', ...args], `${this.#password}\n`);
    await client.says('Configured as');
    return client;
  }

  openconnect(args: readonly string[], input = ''): Process {
    const pin = certificatePin(readFileSync(embeddedPaths(this.dataDir).serverCert));
    const common = [
      '--protocol=anyconnect',
      '-v',
      '--servercert',
      pin,
      '--user',
      'user',
      '--script',
      '/bin/true',
    ];
    return this.run('openconnect', [...common, ...args, `127.0.0.1:${PORT}`], input);
  }

  /** Logs in and returns the cookie. */
  async login(): Promise<string> {
    const client = this.openconnect(['--passwd-on-stdin', '--authenticate'], `${this.#password}\n`);
    await client.exited;
    const cookie = /^COOKIE='([^']+)'/m.exec(client.output)?.[1];
    if (cookie === undefined) throw new Error(`no cookie in:\n${client.output}`);
    return cookie;
  }

  ctl<N extends PlainVerb>(verb: N, args: VerbArgs<N>): Promise<VerbResult<N>> {
    return callControl(join(this.runDir, 'ctl.sock'), verb, args);
  }

  /** Names of the tun devices in the namespace that belong to the server. */
  devices(): string[] {
    const text = execFileSync('ip', ['-n', this.netns, '-br', 'link'], { encoding: 'utf8' });
    return [...text.matchAll(/^(vpns\d+)\s/gm)].map(([, name = '']) => name);
  }

  sockets(): string[] {
    return readdirSync(this.runDir).filter((name) => name.endsWith('.sock'));
  }
}

/** What the descriptors of a process point to, sockets by kind. */
export function openFiles(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/:\[.*/, '')];
    } catch {
      // Closed since the directory was read.
      return [];
    }
  });
}

export function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
