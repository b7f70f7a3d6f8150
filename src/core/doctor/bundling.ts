/** Whether network cards hand UDP packets for the clients to the tun devices in bundles, as they do with TCP. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { type Check, type Finding, hint, ok } from './finding.js';
import { defaultRouteDevices } from './machine.js';

const run = promisify(execFile);
/** How long a card waits for more packets of a flow; docs/performance.md has figures. */
const FLUSH_NS = 20_000;

export const bundling: Check = async ({ config }) => {
  if (!config.default.offload) return [];
  const findings = await Promise.all(defaultRouteDevices().map(ofDevice));
  return findings.flat();
};

async function ofDevice(device: string): Promise<Finding[]> {
  const state = await udpForwarding(device);
  if (state === 'on') return [ok('bundling', `${device} bundles UDP packets that it forwards.`)];
  if (state !== 'off') return [];
  const queue = `/sys/class/net/${device}`;
  const mend = `For many small packets (calls, games, QUIC): "ethtool -K ${device} gro on rx-udp-gro-forwarding on rx-gro-list off; echo 2 >${queue}/napi_defer_hard_irqs; \
echo ${FLUSH_NS} >${queue}/gro_flush_timeout", and the same for other devices that packets for clients come in by.`;
  return [hint('bundling', `${device} forwards UDP packets to the clients one by one.`, mend)];
}

/** As ethtool(8) says it, e.g. `off [fixed]`; null where it is not installed, or does not know the feature or the device. */
async function udpForwarding(device: string): Promise<string | null> {
  try {
    const { stdout } = await run('ethtool', ['-k', device]);
    return /^rx-udp-gro-forwarding: (.*)$/m.exec(stdout)?.[1]?.trim() ?? null;
  } catch {
    return null;
  }
}
