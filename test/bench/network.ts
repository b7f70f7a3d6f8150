/**
 * The benchmark's network: the test lab without clients, where the router, which is next to the server, is the client's
 * machine. So no forwarding in between is billed to either side.
 *
 *   client (router) 10.80.0.1 ──── 10.80.0.2 server 10.10.0.1 ──── 10.10.0.2 inner
 */
import { type Host, inside, Lab } from '../support/lab.ts';
import { iperfServer } from '../support/traffic.ts';

/** Another address of the inner host, for the traffic of a second tunnel. */
export const SECOND_INNER = '10.10.0.3';

/** Settings of the server's machine. */
export interface Tuning {
  /** The kernel splits UDP super-packets before they leave the server. */
  readonly softwareSegmentation: boolean;
  /** UDP packets from the inner network come to the tun device in bundles. */
  readonly bundledUdp: boolean;
}

const DEFERRED_INTERRUPTS = 2;
const FLUSH_NS = 20_000;

export class BenchLab extends Lab {
  constructor(id: string) {
    super(id, 0);
  }

  override client(): Host {
    return this.router;
  }

  override async build(): Promise<void> {
    await super.build();
    await this.router.ip('route add default dev srv0');
    await this.inner.ip(`addr add ${SECOND_INNER}/24 dev eth0`);
    await iperfServer(this);
  }

  /** Before the server starts. */
  async tune({ softwareSegmentation, bundledUdp }: Tuning): Promise<void> {
    if (softwareSegmentation) await this.server.must(['ethtool', '-K', 'wan0', 'tx-udp-segmentation', 'off']);
    if (bundledUdp) await this.#bundleUdp('lan0');
  }

  /** What `vpn doctor` hints at. */
  async #bundleUdp(device: string): Promise<void> {
    const { server } = this;
    await server.must([
      'ethtool',
      '-K',
      device,
      'gro',
      'on',
      'rx-udp-gro-forwarding',
      'on',
      'rx-gro-list',
      'off',
    ]);
    const waits = `echo ${DEFERRED_INTERRUPTS} >napi_defer_hard_irqs; echo ${FLUSH_NS} >gro_flush_timeout`;
    await server.must(['sh', '-ec', `cd /sys/class/net/${device}; ${waits}`]);
  }
}

/** Route from the client's machine into the network behind the server, or to a part of it. */
export async function routeInside(client: Host, device: string, net = inside.net4): Promise<void> {
  await client.ip(`route replace ${net} dev ${device}`);
}

/** Datagrams that a host's sockets took and lost for want of buffer (RFC 4113 counters; UdpRcvbufErrors is Linux's). */
export interface UdpCounters {
  readonly received: number;
  readonly lost: number;
}

export async function udpCounters(host: Host): Promise<UdpCounters> {
  const lines = (await host.must(['cat', '/proc/net/snmp']))
    .split('\n')
    .filter((line) => line.startsWith('Udp:'));
  const [names = [], values = []] = lines.map((line) => line.split(' '));
  const of = (name: string): number => Number(values[names.indexOf(name)]);
  return { received: of('InDatagrams'), lost: of('RcvbufErrors') };
}

/** Bytes that a device has sent and received. */
export async function deviceBytes(host: Host, device: string): Promise<{ sent: number; received: number }> {
  const folder = `/sys/class/net/${device}/statistics`;
  const text = await host.must(['cat', `${folder}/tx_bytes`, `${folder}/rx_bytes`]);
  const [sent = 0, received = 0] = text.trim().split('\n').map(Number);
  return { sent, received };
}
