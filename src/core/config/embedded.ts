/**
 * The embedded default: what `vpn serve` runs without a configuration file. Everything that differs between
 * machines follows from the data directory, so that each start and each process sees the same.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import type { Document, Setting } from './document.js';
import { isIp } from './networks.js';
import type { OptionName, OptionValue, VhostConfig } from './schema.js';

type Values = { readonly [N in OptionName]?: OptionValue<N> };

/** Files of the embedded default below the data directory. */
export function embeddedPaths(dataDir: string) {
  const root = resolve(dataDir);
  const pki = join(root, 'pki');
  return {
    pki,
    caCert: join(pki, 'ca.crt'),
    caKey: join(pki, 'ca.key'),
    serverCert: join(pki, 'server.crt'),
    serverKey: join(pki, 'server.key'),
    ocpasswd: join(root, 'ocpasswd'),
    firstUser: join(root, 'first-user.json'),
  };
}

/** Options of the embedded default, as a file would give them. */
export function embeddedDefault(dataDir: string): Values {
  const paths = embeddedPaths(dataDir);
  const seed = createHash('sha256')
    .update(`${machineId()}\0${resolve(dataDir)}`)
    .digest();
  return {
    auth: [`plain[passwd=${paths.ocpasswd}]`],
    'server-cert': [paths.serverCert],
    'server-key': [paths.serverKey],
    'ipv4-network': `10.99.${seed.readUInt8(0)}.0/24`,
    'ipv6-network': uniqueLocal(seed.subarray(1, 6)),
    dns: systemResolvers(),
    nat: true,
  };
}

/**
 * A file without any certificate, as Debian's ocserv package installs it, gets that of the data directory. Virtual
 * hosts of the file inherit it only as they would inherit one from the file, so there each needs its own.
 */
export function withEmbeddedCertificate(document: Document, dataDir: string): Document {
  const names = ['server-cert', 'server-key'];
  const given = [document, ...document.vhosts].flatMap(({ settings }) => settings);
  if (given.some(({ option }) => names.includes(option)) || document.vhosts.length > 0) return document;
  const { serverCert, serverKey } = embeddedPaths(dataDir);
  const values: Setting[] = [
    { option: 'server-cert', value: serverCert, line: null },
    { option: 'server-key', value: serverKey, line: null },
  ];
  return { ...document, settings: [...document.settings, ...values] };
}

/** Whether `vhost` stands on the certificate of the data directory, which then has to be there. */
export function usesEmbeddedCertificate(vhost: VhostConfig, dataDir: string): boolean {
  return vhost['server-cert'].includes(embeddedPaths(dataDir).serverCert);
}

/** RFC 4193 section 3.1: fd, a 40-bit global id, here with subnet 0 of a /48. */
function uniqueLocal(globalId: Uint8Array): string {
  const hex = Buffer.from(globalId).toString('hex');
  return `fd${hex.slice(0, 2)}:${hex.slice(2, 6)}:${hex.slice(6, 10)}::/48`;
}

function machineId(): string {
  return readIfThere('/etc/machine-id').trim() || hostname();
}

/** Name servers of this machine that clients can reach too; public ones if there are none (a local stub, e.g.). */
function systemResolvers(): string[] {
  const lines = readIfThere('/etc/resolv.conf').split('\n');
  const servers = lines.map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '').filter(isReachable);
  return servers.length > 0 ? servers.slice(0, 3) : ['9.9.9.9', '149.112.112.112'];
}

/** Not loopback and not link-local. */
function isReachable(address: string): boolean {
  return isIp(address) && !/^(127\.|::1$|fe80:|0\.)/i.test(address);
}

/** The file's text, '' without the file: a small system may have neither, which has a meaning of its own above. */
function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
