/**
 * A VPN server of a lab: ours or Debian's ocserv, behind one interface, so that a scenario runs against both. Options
 * are given under ocserv's names and written in each server's own format.
 */
import { chmodSync } from 'node:fs';
import { describe } from 'vitest';
import { type Host, inside, type Lab, outside } from './lab.ts';
import { startOcserv } from './ocserv.ts';
import { startOcvpn } from './ocvpn.ts';
import { type KeyKind, writeCertificate } from './pki.ts';
import type { Companion } from './process.ts';
import { until } from './wait.ts';

export type ServerKind = 'ocvpn' | 'ocserv';
export type OptionValue = string | number | boolean | readonly string[];
export type ServerOptions = Readonly<Record<string, OptionValue>>;

/** A user of the password file. */
export interface User {
  readonly name: string;
  readonly password: string;
  readonly groups?: readonly string[];
}

/** A connected user as the control socket tells. */
export interface ConnectedUser {
  readonly id: number;
  readonly name: string;
  readonly group: string;
  readonly device: string;
  readonly mtu: number;
  /** Address outside. */
  readonly remote: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly tlsCipher: string;
  /** Empty without DTLS. */
  readonly dtlsCipher: string;
  /** Process that serves it; ours only. */
  readonly workerPid?: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
}

export interface VpnServer {
  readonly kind: ServerKind;
  readonly process: Companion;
  /** For --servercert; one per key. */
  readonly pins: readonly string[];
  /** Those whose tunnel is open. */
  users(): Promise<ConnectedUser[]>;
  /** Ends the sessions of a user; false if there is none. */
  disconnectUser(name: string): Promise<boolean>;
  stop(): Promise<void>;
}

/** Which ocserv, when it is ocserv. */
export interface OcservProgram {
  readonly binary: string;
  /** Log level, 0…9; the more, the slower. */
  readonly debug: number;
}

/** What a server's starter gets: options that are the same for both, and the files. */
export interface ServerSetup {
  readonly lab: Lab;
  readonly options: ServerOptions;
  readonly vhosts: Readonly<Record<string, ServerOptions>>;
  readonly passwordFile: string;
  readonly pins: readonly string[];
  /** Folder that the server sees as /etc; ours only. */
  readonly etc?: string | undefined;
  readonly launch?: Launch | undefined;
  readonly ocserv: OcservProgram;
}

/** Starts the server's processes in place of a plain `vpn serve`; returns main, when it is ready. Ours only. */
export type Launch = (lab: Lab) => Promise<Companion>;

export const defaultUsers: readonly User[] = [
  { name: 'alice', password: 'secret' },
  { name: 'bob', password: 'b0b & <sons> "quoted" 100%', groups: ['staff'] },
  { name: 'carol', password: 'carols', groups: ['staff', 'tech'] },
];

/** Servers that the scenarios run against: INTEROP_SERVERS=ocvpn,ocserv; ours by default. */
export const serverKinds = (process.env.INTEROP_SERVERS ?? 'ocvpn').split(',') as ServerKind[];

/** Declares scenarios for each server. */
export function forEachServer(scenarios: (kind: ServerKind) => void): void {
  describe.each(serverKinds)('%s', (kind) => scenarios(kind));
}

async function writePasswordFile(lab: Lab, users: readonly User[]): Promise<string> {
  const path = `${lab.folder}/ocpasswd`;
  for (const { name, password, groups = [] } of users) {
    const group = groups.length > 0 ? ['-g', groups.join(',')] : [];
    const input = `${password}\n${password}\n`;
    await lab.server.must(['ocpasswd', '-c', path, ...group, name], { input });
  }
  return path;
}

export interface ServerRequest {
  readonly options?: ServerOptions;
  /** Virtual hosts by name; ours only. */
  readonly vhosts?: Readonly<Record<string, ServerOptions>>;
  readonly users?: readonly User[];
  readonly keys?: readonly KeyKind[];
  readonly etc?: string;
  readonly launch?: Launch;
  readonly ocserv?: OcservProgram;
}

/** Starts a server on the lab's server host and waits until it listens. */
export async function startServer(
  lab: Lab,
  kind: ServerKind,
  {
    options = {},
    vhosts = {},
    users = defaultUsers,
    keys = ['rsa'],
    etc,
    launch,
    ocserv = { binary: 'ocserv', debug: 3 },
  }: ServerRequest = {},
): Promise<VpnServer> {
  // Workers run as nobody.
  chmodSync(lab.folder, 0o755);
  const passwordFile = await writePasswordFile(lab, users);
  const files = [];
  for (const key of keys) files.push(await writeCertificate(lab.folder, key));
  const common: ServerOptions = {
    auth: [`plain[passwd=${passwordFile}]`],
    'tcp-port': 443,
    'udp-port': 443,
    'run-as-user': 'nobody',
    'run-as-group': 'nogroup',
    'server-cert': files.map((file) => file.certificate),
    'server-key': files.map((file) => file.key),
    device: 'vpns',
    'ipv4-network': inside.pool4,
    'ipv6-network': inside.pool6,
    'ipv6-subnet-prefix': 128,
    route: [inside.net4, inside.net6],
    keepalive: 32400,
    dpd: 90,
    'cookie-timeout': 300,
    'rekey-time': 172800,
    'rekey-method': 'ssl',
    'max-ban-score': 0,
    ...options,
  };
  const setup: ServerSetup = {
    lab,
    options: common,
    vhosts,
    passwordFile,
    pins: files.map((file) => file.pin),
    ocserv,
    etc,
    launch,
  };
  const server = kind === 'ocserv' ? await startOcserv(setup) : await startOcvpn(setup);
  await until(`${kind} to listen`, async () => {
    if (server.process.exit) throw new Error(`${kind} ended:\n${server.process.output}`);
    return isListening(lab.server, Number(common['tcp-port']), Number(common['udp-port']));
  });
  return server;
}

async function isListening(host: Host, tcp: number, udp: number): Promise<boolean> {
  const sockets = await host.must(['ss', '-Hlntu']);
  const open = (protocol: string, port: number): boolean =>
    new RegExp(`^${protocol}\\s.*[:\\]]${port}\\s`, 'm').test(sockets);
  return open('tcp', tcp) && (udp === 0 || open('udp', udp));
}

/** The URL that a client uses, over IPv4 or IPv6. */
export function urlOf(family: 4 | 6 = 4): string {
  return family === 4 ? `https://${outside.server4}/` : `https://[${outside.server6}]/`;
}
