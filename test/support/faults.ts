/** Faults of the network between client and server, made on the lab's router. */
import { join } from 'node:path';
import { type Lab, outside } from './lab.ts';
import type { Companion } from './process.ts';

const TABLE = 'ocv_faults';
const relay = join(import.meta.dirname, 'mangling-peer.ts');

/** Drops every UDP packet that crosses the router from now on; with `n`, those from client `n` only. */
export async function blockUdp(lab: Lab, n?: number): Promise<void> {
  const from = n === undefined ? '' : `iifname "net${n}"`;
  await lab.router.nft(`
    table inet ${TABLE} {
      chain in { type filter hook prerouting priority raw; ${from} meta l4proto udp drop; }
    }`);
}

/**
 * Leads the UDP packets of client `n` to the server through a relay on the router (mangling-peer.ts), for DTLS connections
 * that begin from now on.
 */
export async function relayUdp(lab: Lab, n = 0): Promise<Companion> {
  const port = 5443;
  const command = [process.execPath, relay, `${port}`, outside.server4, '443'];
  const running = lab.router.start('relay', command);
  await running.waitFor(/^ready$/m);
  await lab.router.nft(`
    table ip ocv_relay {
      chain in { type nat hook prerouting priority dstnat; iifname "net${n}" udp dport 443 redirect to :${port}; }
    }`);
  return running;
}

/** Drops every packet between client `n` and the server: the client vanishes without a word. */
export async function cutOff(lab: Lab, n = 0): Promise<void> {
  await lab.router.nft(`
    table inet ${TABLE} {
      chain forward { type filter hook forward priority 0; iifname "net${n}" drop; oifname "net${n}" drop; }
    }`);
}

/** Ends blockUdp and cutOff. */
export async function mend(lab: Lab): Promise<void> {
  await lab.router.nft(`delete table inet ${TABLE}`);
}

/**
 * From now on the server sees the UDP packets of client `n` come from port `to` instead of `from`, as after a NAT
 * that lost its mapping (no connection tracking: the headers are rewritten both ways).
 */
export async function rebindUdpPort(lab: Lab, from: number, to: number, n = 0): Promise<void> {
  const client = outside.client4(n);
  await lab.router.nft(`
    table ip ocv_rebind {
      chain in { type filter hook prerouting priority raw; ip daddr ${client} udp dport ${to} udp dport set ${from}; }
      chain out { type filter hook forward priority 0; ip saddr ${client} udp sport ${from} udp sport set ${to}; }
    }`);
}

/** Gives client `n` another address outside; its sockets keep the old one and hear nothing any more. */
export async function changeClientAddress(lab: Lab, n = 0): Promise<string> {
  const moved = `10.70.${n}.77`;
  const client = lab.client(n);
  // The old address takes the default route with it.
  await client.ip(
    `addr add ${moved}/24 dev wan0`,
    `addr del ${outside.client4(n)}/24 dev wan0`,
    `addr add ${moved}/24 dev wan0`,
    `route replace default via 10.70.${n}.1 dev wan0`,
  );
  return moved;
}

/** Makes the link of client `n` carry at most `bytes`: the client knows, the server learns it from the router. */
export async function setClientLinkMtu(lab: Lab, bytes: number, n = 0): Promise<void> {
  await lab.router.ip(`link set net${n} mtu ${bytes}`);
  await lab.client(n).ip(`link set wan0 mtu ${bytes}`);
}

/**
 * Drops IPv4 UDP packets longer than `bytes` in both directions, telling nobody. The ends segment in software from now
 * on: a super-packet would cross the veth devices unsplit and be dropped as a whole.
 */
export async function blackHoleUdpAbove(lab: Lab, bytes: number): Promise<void> {
  for (const host of [lab.server, ...lab.clients]) {
    await host.must(['ethtool', '-K', 'wan0', 'tx-udp-segmentation', 'off']);
  }
  await lab.router.nft(`
    table ip ${TABLE} {
      chain forward { type filter hook forward priority 0; meta l4proto udp ip length > ${bytes} drop; }
    }`);
}
