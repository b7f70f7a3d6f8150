/**
 * Other VPN programs in the same network and under the same traffic: one tunnel from the client's machine to the
 * server, measured on the server. They are for orientation; thresholds are about ocserv.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { type Host, outside } from '../support/lab.ts';
import { writeCertificate } from '../support/pki.ts';
import type { Companion } from '../support/process.ts';
import { until } from '../support/wait.ts';
import type { Case } from './cases.ts';
import type { Measured } from './metrics.ts';
import { BenchLab, routeInside } from './network.ts';
import type { BenchOptions } from './options.ts';
import type { PeerName } from './peer-names.ts';
import { type Meter, meter } from './usage.ts';

/** Names of devices and control sockets: wireguard-go's are in one folder for all namespaces. */
const SERVER_DEVICE = `bws${process.pid}`;
const CLIENT_DEVICE = `bwc${process.pid}`;
const SERVER_ADDRESS = '10.98.0.1';
const CLIENT_ADDRESS = '10.98.0.2';

async function wireguardKey(lab: BenchLab, device: string): Promise<{ file: string; publicKey: string }> {
  const file = `${lab.folder}/${device}.key`;
  const key = await lab.server.must(['wg', 'genkey']);
  writeFileSync(file, key, { mode: 0o600 });
  return { file, publicKey: (await lab.server.must(['wg', 'pubkey'], { input: key })).trim() };
}

async function startWireguard(lab: BenchLab): Promise<Companion> {
  const [server, client] = [await wireguardKey(lab, SERVER_DEVICE), await wireguardKey(lab, CLIENT_DEVICE)];
  const start = async (host: Host, device: string): Promise<Companion> => {
    const started = host.start('wireguard-go', ['wireguard-go', '-f', device]);
    await until(
      `wireguard-go to serve ${device}`,
      async () => (await host.run(['wg', 'show', device])).code === 0,
    );
    return started;
  };
  const companion = await start(lab.server, SERVER_DEVICE);
  await start(lab.client(), CLIENT_DEVICE);
  const own = ['private-key', server.file, 'listen-port', '51820'];
  const peer = ['peer', client.publicKey, 'allowed-ips', `${CLIENT_ADDRESS}/32`];
  await lab.server.must(['wg', 'set', SERVER_DEVICE, ...own, ...peer]);
  const to = ['endpoint', `${outside.server4}:51820`, 'allowed-ips', '0.0.0.0/0'];
  const set = ['wg', 'set', CLIENT_DEVICE, 'private-key', client.file, 'peer', server.publicKey, ...to];
  await lab.client().must(set);
  await lab.server.ip(
    `addr add ${SERVER_ADDRESS} peer ${CLIENT_ADDRESS} dev ${SERVER_DEVICE}`,
    `link set ${SERVER_DEVICE} up`,
  );
  await lab
    .client()
    .ip(
      `addr add ${CLIENT_ADDRESS} peer ${SERVER_ADDRESS} dev ${CLIENT_DEVICE}`,
      `link set ${CLIENT_DEVICE} up`,
    );
  return companion;
}

async function startOpenvpn(lab: BenchLab): Promise<Companion> {
  const { certificate, key } = await writeCertificate(lab.folder, 'ecdsa');
  const fingerprint = new X509Certificate(readFileSync(certificate)).fingerprint256;
  const common = [
    '--dev-type',
    'tun',
    '--cert',
    certificate,
    '--key',
    key,
    '--peer-fingerprint',
    fingerprint,
  ];
  const tuning = ['--data-ciphers', 'AES-256-GCM', '--disable-dco', '--verb', '3'];
  const start = (host: Host, device: string, local: string, remote: string, role: string[]): Companion =>
    host.start('openvpn', [
      ...['openvpn', '--dev', device, '--ifconfig', local, remote],
      ...[...common, ...tuning, ...role],
    ]);
  const serverRole = ['--tls-server', '--dh', 'none', '--proto', 'udp', '--lport', '1194'];
  const server = start(lab.server, SERVER_DEVICE, SERVER_ADDRESS, CLIENT_ADDRESS, serverRole);
  const clientRole = ['--tls-client', '--proto', 'udp', '--remote', outside.server4, '1194', '--nobind'];
  const client = start(lab.client(), CLIENT_DEVICE, CLIENT_ADDRESS, SERVER_ADDRESS, clientRole);
  await client.waitFor(/Initialization Sequence Completed/);
  return server;
}

const starters: Record<PeerName, (lab: BenchLab) => Promise<Companion>> = {
  'wireguard-go': startWireguard,
  openvpn: startOpenvpn,
};

/** One program with its tunnel, in a lab of its own. */
export class Peer {
  readonly lab: BenchLab;
  readonly pid: number;
  readonly #meter: Meter;
  readonly #options: BenchOptions;

  private constructor(lab: BenchLab, server: Companion, options: BenchOptions) {
    this.lab = lab;
    this.pid = server.pid;
    this.#meter = meter(server.pid);
    this.#options = options;
  }

  static async open(name: PeerName, options: BenchOptions): Promise<Peer> {
    const lab = new BenchLab(`${process.pid}.${name.slice(0, 4)}`);
    try {
      await lab.build();
      await lab.tune(options);
      const server = await starters[name](lab);
      await routeInside(lab.client(), CLIENT_DEVICE);
      return new Peer(lab, server, options);
    } catch (error) {
      if (options.verbose) console.error(lab.report());
      await lab.close();
      throw error;
    }
  }

  /** Bulk traffic of one session is what all of these programs carry; nothing to prepare, the tunnel is open. */
  takes(one: Case): boolean {
    return one.tunnel === 'batched-dtls';
  }

  async prepare(): Promise<void> {}

  async measure(one: Case): Promise<Measured> {
    if (one.tunnel === undefined) throw new Error(`${one.name} needs a server of ours`);
    const { seconds, congestion } = this.#options;
    const { server } = this.lab;
    return await one.measure({
      client: this.lab.client(),
      server,
      device: CLIENT_DEVICE,
      meter: this.#meter,
      seconds,
      congestion,
    });
  }

  async close(): Promise<void> {
    await this.lab.close();
    await this.#meter.close();
  }
}
