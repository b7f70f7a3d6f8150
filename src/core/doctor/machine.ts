/** The machine: rights, tun, kernel offloads, clock, MTU of the way out. */
import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import { VpnError } from '../errors.js';
import { checkRoot, checkTun } from '../main/preflight.js';
import { native } from '../native/index.js';
import { resolveIdentity, SHARED_USER } from '../util/identity.js';
import { type Check, caught, type Finding, failure, ok, warning } from './finding.js';

const run = promisify(execFile);
/** RFC 8200 section 5: below it there is no IPv6. */
const MIN_IPV6_MTU = 1280;
const ETHERNET_MTU = 1500;

export const rights: Check = ({ config }) => {
  try {
    checkRoot();
    const { uid } = resolveIdentity(config.default['run-as-user'], config.default['run-as-group']);
    if (uid === resolveIdentity(SHARED_USER, '').uid) {
      const say = `Workers run as ${SHARED_USER}, which other services of this machine may use too.`;
      const mend =
        'Make a user of their own ("useradd --system ocvpn"): it is taken unless run-as-user names another.';
      return [warning('rights', say, mend)];
    }
    return [ok('rights', 'The rights to create devices are there, and so is the user of the workers.')];
  } catch (error) {
    return [caught('rights', error)];
  }
};

export const tun: Check = () => {
  try {
    checkTun();
    return [ok('tun', '/dev/net/tun can be opened.')];
  } catch (error) {
    return [caught('tun', error)];
  }
};

const OFFLOADS = {
  tunVnetHdr: 'packets of a connection cannot be handed to the kernel in bundles',
  tunTso: 'TCP towards the clients is cut into packets by the kernel, not by us',
  tunUso: 'UDP inside the tunnels is not bundled',
  udpSegment: 'each DTLS packet costs a system call of its own',
  udpGro: 'DTLS packets are received one by one',
} as const;

const ALL_OFFLOADS = Object.keys(OFFLOADS) as (keyof typeof OFFLOADS)[];

/** Only devices that are up are listed. */
const hasLoopback = (): boolean => Object.values(networkInterfaces()).some((all) => all?.[0]?.internal);

/** Those of tun devices are tried on one. */
function canMakeDevices(): boolean {
  try {
    checkRoot();
    checkTun();
    return true;
  } catch (error) {
    if (error instanceof VpnError) return false;
    throw error;
  }
}

export const offloads: Check = ({ config }) => {
  if (!config.default.offload) {
    const mend = 'Set offload to true unless something in the kernel is broken.';
    return [warning('offloads', 'Kernel offloads are turned off (offload).', mend)];
  }
  if (!canMakeDevices()) {
    const say = 'Kernel offloads cannot be tried: that needs a tun device.';
    return [warning('offloads', say, 'Mend rights and tun first.')];
  }
  const probed = native.io.probeOffloads();
  // Those of UDP are tried on loopback: without it nothing is known of them.
  const tried = hasLoopback() ? ALL_OFFLOADS : ALL_OFFLOADS.filter((name) => !name.startsWith('udp'));
  const missing = tried.filter((name) => !probed[name]);
  if (missing.length === 0 && tried !== ALL_OFFLOADS) {
    const say =
      'The offloads of tun devices are there; those of UDP cannot be tried, because the loopback device is down.';
    return [
      warning('offloads', say, 'Turn it on: "ip link set lo up". The server itself needs no loopback.'),
    ];
  }
  if (missing.length === 0) return [ok('offloads', 'The kernel has every offload that speeds tunnels up.')];
  const say = `Offloads are missing: ${missing.map((name) => `${name} (${OFFLOADS[name]})`).join('; ')}.`;
  return [warning('offloads', say, 'It works without, only slower; Linux 6.2 and newer have all of them.')];
};

/** Times are checked against what cannot be newer than now, and by asking systemd where it is there. */
export const clock: Check = async () => {
  const installed = statSync(new URL(import.meta.url)).mtimeMs;
  const mend =
    'Set the clock and let a time service keep it (systemd-timesyncd, chrony): one-time codes, certificates and cookies depend on it.';
  if (Date.now() < installed - 86_400_000)
    return [failure('clock', 'The clock is behind the day on which this program was installed.', mend)];
  const synchronized = await timeIsKept();
  if (synchronized === false) return [warning('clock', 'No time service keeps the clock right.', mend)];
  const kept = synchronized
    ? 'is kept right by a time service'
    : 'is plausible; no time service could be asked';
  return [ok('clock', `The clock ${kept}.`)];
};

/** null: there is nobody to ask. */
async function timeIsKept(): Promise<boolean | null> {
  try {
    const { stdout } = await run('timedatectl', ['show', '--property=NTPSynchronized', '--value']);
    return stdout.trim() === 'yes';
  } catch {
    // Not a machine with systemd, or a container: the host keeps the clock.
    return null;
  }
}

/** Devices of the default routes, and their MTU. */
export const mtu: Check = ({ config }) => {
  const devices = defaultRouteDevices();
  if (devices.length === 0) {
    const mend = 'Add a default route, or ignore this when all clients are in networks of this machine.';
    return [warning('mtu', 'There is no default route.', mend)];
  }
  return devices.map((device) => mtuOf(device, config.default.mtu, config.default['ipv6-network'] !== ''));
};

function mtuOf(device: string, wanted: number, ipv6: boolean): Finding {
  const size = Number(readFileSync(`/sys/class/net/${device}/mtu`, 'utf8'));
  if (size < MIN_IPV6_MTU && ipv6) {
    const mend = `Raise it to ${MIN_IPV6_MTU} at least ("ip link set ${device} mtu ${ETHERNET_MTU}"), or leave ipv6-network out.`;
    return failure('mtu', `The MTU of ${device} is ${size}, too small for IPv6 inside tunnels.`, mend);
  }
  if (wanted > size) {
    const mend = `Set mtu to ${size} or less, or leave it out: the server then finds the best value for each client.`;
    return warning('mtu', `Option mtu is ${wanted}, ${device} carries ${size} only.`, mend);
  }
  if (size < ETHERNET_MTU) {
    const mend = 'Nothing if the network is like that (PPPoE, a tunnel); otherwise raise it.';
    return warning('mtu', `The MTU of ${device} is ${size}; tunnels get less than usual.`, mend);
  }
  return ok('mtu', `The MTU of ${device} is ${size}.`);
}

/** /proc/net/route (destination and mask 0) and /proc/net/ipv6_route (destination and prefix 0, not lo). */
export function defaultRouteDevices(): string[] {
  const v4 = fields('/proc/net/route')
    .filter((row) => row[1] === '00000000' && row[7] === '00000000')
    .map((row) => row[0] ?? '');
  const v6 = fields('/proc/net/ipv6_route')
    .filter((row) => /^0{32}$/.test(row[0] ?? '') && row[1] === '00')
    .map((row) => row[9] ?? '');
  return [...new Set([...v4, ...v6])].filter((device) => device !== '' && device !== 'lo');
}

function fields(path: string): string[][] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines.map((line) => line.trim().split(/\s+/));
  } catch (error) {
    // A kernel without that family.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
