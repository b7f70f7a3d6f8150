/** What must be there before the server starts, each with a sentence that says what to do. */
import { closeSync, openSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import { fileReason } from '../util/file-reason.js';
import { type Identity, idOf } from '../util/identity.js';
import { makeDirectory } from '../util/make-directory.js';
import { contains, type Network, parseIp, parseNetwork } from './ip.js';

/** linux/capability.h */
const CAP_NET_ADMIN = 12n;
/** Others may pass through the directory (workers reach secmod's socket), not list it. */
const RUN_DIR_MODE = 0o711;

/** Throws OCS_NOT_ROOT unless this process may create devices and change users. */
export function checkRoot(status = readFileSync('/proc/self/status', 'utf8')): void {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  if (process.geteuid?.() !== 0 || ((effective >> CAP_NET_ADMIN) & 1n) === 0n)
    throw new VpnError('OCS_NOT_ROOT');
}

/** Throws OCS_NO_TUN unless tun devices can be made. */
export function checkTun(path = '/dev/net/tun'): void {
  try {
    closeSync(openSync(path, 'r+'));
  } catch (error) {
    throw new VpnError('OCS_NO_TUN', { reason: reasonOf(error) }, { cause: error });
  }
}

/** False: new devices get no IPv6 addresses here, because the kernel has no IPv6 or an administrator turned it off. */
export function devicesHaveIpv6(switchFile = '/proc/sys/net/ipv6/conf/default/disable_ipv6'): boolean {
  try {
    return readFileSync(switchFile, 'utf8').trim() === '0';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Creates the run directory; false when it was there. Throws OCS_RUN_DIR if others could put their own sockets into it. */
export function prepareRunDir(path: string): boolean {
  try {
    const first = makeDirectory(path, RUN_DIR_MODE);
    const { uid, mode } = statSync(path);
    if (uid !== process.geteuid?.() || (mode & 0o022) !== 0) throw new Error('others can write to it');
    return first !== undefined;
  } catch (error) {
    throw new VpnError('OCS_RUN_DIR', { path, reason: fileReason(error) }, { cause: error });
  }
}

/** The end of a run directory that this server made, unless something is left in it. */
export function removeRunDir(path: string, log: Logger): void {
  try {
    rmdirSync(path);
  } catch (error) {
    log.debug({ path, err: error }, 'the run directory stays');
  }
}

/** The directory on the way to `path` that only its owner and group can pass, null if there is none. */
export function hiddenDirectory(path: string): string | null {
  for (let at = path; ; at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return at;
    if (at === dirname(at)) return null;
  }
}

/** Option control-group; null for root alone. Throws OCS_RUN_AS, and OCS_CONFIG for the group of the workers. */
export function resolveControlGroup(name: string, workers: Identity): number | null {
  if (name === '') return null;
  const gid = idOf('group', name, '/etc/group');
  if (gid === workers.gid) {
    const detail = `control-group ${name} is the group of the workers (run-as-group), which must not direct the server`;
    throw new VpnError('OCS_CONFIG', { detail });
  }
  return gid;
}

/** Networks of this machine's interfaces, each once: the tunnels of a pool all have the same address of ours. */
export function localNetworks(interfaces = networkInterfaces()): Network[] {
  const texts = Object.values(interfaces).flatMap((addresses = []) =>
    addresses.flatMap(({ cidr }) => (cidr ? [cidr] : [])),
  );
  return [...new Set(texts)].map((text) => parseNetwork(text));
}

/** Addresses of local networks are never banned. Looks the interfaces up again when the last answer is older than a minute. */
export function localAddressCheck(nowMs: () => number): (ip: string) => boolean {
  const MAX_AGE_MS = 60_000;
  let networks: Network[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  return (ip) => {
    if (nowMs() - readAt > MAX_AGE_MS) {
      networks = localNetworks();
      readAt = nowMs();
    }
    const address = parseIp(ip);
    return networks.some((network) => contains(network, address));
  };
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'ENODEV') return 'the kernel module is not loaded';
  return message;
}
