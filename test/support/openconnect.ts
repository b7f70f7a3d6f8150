/** The stock client, run in a client's namespace. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, type Lab, outside } from './lab.ts';
import type { Companion, Exit, RunResult } from './process.ts';
import { urlOf, type VpnServer } from './server.ts';
import { until } from './wait.ts';

const script = join(import.meta.dirname, 'vpnc-script');

export interface ClientRequest {
  readonly user?: string;
  readonly password?: string;
  /** Instead of user and password. */
  readonly cookie?: string;
  /** Number of the client host. */
  readonly on?: number;
  /** Address family outside. */
  readonly family?: 4 | 6;
  /** Name in the URL (and SNI) instead of the address. */
  readonly name?: string;
  /** Path part of the URL, without the leading slash. */
  readonly path?: string;
  readonly args?: readonly string[];
  /** Environment beside that of the test. */
  readonly env?: Readonly<Record<string, string>>;
}

/** One call of the script: its reason and openconnect's variables. */
export interface ScriptEvent {
  readonly reason: string;
  readonly env: Readonly<Record<string, string>>;
}

function flags(server: VpnServer, request: ClientRequest): { args: string[]; input: string } {
  const { user = 'alice', password = 'secret', cookie, name, args = [] } = request;
  const resolve = name === undefined ? [] : [`--resolve=${name}:${outside.server4}`];
  const pins = server.pins.map((pin) => `--servercert=${pin}`);
  const login = cookie === undefined ? ['--passwd-on-stdin', `--user=${user}`] : ['--cookie-on-stdin'];
  return {
    args: ['--protocol=anyconnect', '--non-inter', ...pins, ...login, ...resolve, ...args],
    input: `${cookie ?? password}\n`,
  };
}

const target = ({ family = 4, name, path = '' }: ClientRequest): string =>
  `${name === undefined ? urlOf(family) : `https://${name}/`}${path}`;

/**
 * Logs in without connecting and returns what openconnect said; `--cookieonly` prints the cookie on standard output.
 */
export function authenticate(lab: Lab, server: VpnServer, request: ClientRequest = {}): Promise<RunResult> {
  const { args, input } = flags(server, request);
  const command = ['openconnect', '-v', '--dump-http-traffic', ...args, '--cookieonly', target(request)];
  return lab.client(request.on).run(command, { input, env: request.env ?? {} });
}

/** Logs in without connecting; returns the cookie. */
export async function fetchCookie(lab: Lab, server: VpnServer, request: ClientRequest = {}): Promise<string> {
  const { code, stdout, stderr } = await authenticate(lab, server, request);
  const cookie = stdout.trim();
  if (code !== 0 || cookie === '') throw new Error(`login ended with ${code}:\n${stderr}${stdout}`);
  return cookie;
}

export class Openconnect {
  readonly host: Host;
  readonly process: Companion;
  readonly device = 'tun0';
  readonly #events: string;

  /** Starts it on `host` with the given arguments and standard input. */
  constructor(
    lab: Lab,
    host: Host,
    args: readonly string[],
    input: string,
    env: Readonly<Record<string, string>> = {},
  ) {
    this.host = host;
    this.#events = mkdtempSync(join(lab.folder, 'events-'));
    const own = ['-v', '--timestamp', `--interface=${this.device}`, `--script=${script}`];
    this.process = host.start('openconnect', ['openconnect', ...own, ...args], {
      input,
      env: { ...env, OCV_EVENTS: this.#events },
    });
  }

  /** Calls of the script so far. */
  events(): ScriptEvent[] {
    return readdirSync(this.#events)
      .filter((name) => /^\d/.test(name))
      .sort()
      .map((name) => {
        const pairs = readFileSync(join(this.#events, name), 'utf8').split('\0').filter(Boolean);
        const env = Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s, 2) as [string, string]));
        return { reason: name.replace(/^\d+-/, ''), env };
      });
  }

  /** Waits until the tunnel is configured; returns the script's variables of that moment. */
  async connected(timeoutMs = 40_000): Promise<Readonly<Record<string, string>>> {
    await this.process.waitFor(/Configured as /, { timeoutMs });
    return await this.event('connect');
  }

  /** Waits for the `nth` call of the script with this reason (from 1). */
  event(reason: string, nth = 1, timeoutMs = 20_000): Promise<Readonly<Record<string, string>>> {
    const look = (): Readonly<Record<string, string>> | undefined =>
      this.events().filter((event) => event.reason === reason)[nth - 1]?.env;
    return until(`call ${nth} of the script for ${reason}`, look, { timeoutMs });
  }

  /** Waits for an established DTLS connection; returns the cipher suite. `from`: see Companion.waitFor. */
  async dtls({ from = 0, timeoutMs = 40_000 } = {}): Promise<string> {
    const pattern = /Established DTLS connection.*Ciphersuite (\S+?)\.?\n/;
    const found = await this.process.waitFor(pattern, { from, timeoutMs });
    return found[1] ?? '';
  }

  /** Ends it with a signal (SIGINT: logs out; SIGHUP: keeps the session) and waits. */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    this.process.signal(signal);
    return await this.process.ended();
  }
}

/** Starts openconnect and returns at once. */
export function startClient(lab: Lab, server: VpnServer, request: ClientRequest = {}): Openconnect {
  const { args, input } = flags(server, request);
  return new Openconnect(lab, lab.client(request.on), [...args, target(request)], input, request.env);
}

/** Starts openconnect and waits until its tunnel is configured. */
export async function connect(
  lab: Lab,
  server: VpnServer,
  request: ClientRequest = {},
): Promise<Openconnect> {
  const client = startClient(lab, server, request);
  await client.connected();
  return client;
}
