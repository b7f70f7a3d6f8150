/** One server of the comparison: started, put through the cases, ended. */
import { chmodSync } from 'node:fs';
import { type ServerKind, startServer, type VpnServer } from '../support/server.ts';
import { type Case, type Crowd, cases, type TunnelKind } from './cases.ts';
import type { Measurement } from './metrics.ts';
import { BenchLab } from './network.ts';
import type { BenchOptions } from './options.ts';
import { openCrowd, openTunnel, type Tunnel } from './tunnels.ts';
import { type Meter, meter } from './usage.ts';

/** Limits that would end a crowd from one address; the same for both servers. */
const COMMON = {
  'max-clients': 0,
  'max-same-clients': 0,
  'ipv4-network': '10.96.0.0/14',
  dpd: 300,
};

export interface Result {
  readonly case: string;
  readonly measured: Measurement;
}

export interface SideRun {
  readonly kind: ServerKind;
  /** Name of the lab; unique within the process. */
  readonly id: string;
  readonly options: BenchOptions;
  /** Called once the lab and the server are up. */
  readonly started?: (lab: BenchLab, meter: Meter) => Promise<void>;
  readonly result: (result: Result) => void;
}

class Side {
  readonly #lab: BenchLab;
  readonly #server: VpnServer;
  readonly #meter: Meter;
  readonly #options: BenchOptions;
  #tunnel: Tunnel | undefined;
  #tunnelKind: TunnelKind | undefined;

  constructor(lab: BenchLab, server: VpnServer, gauge: Meter, options: BenchOptions) {
    this.#lab = lab;
    this.#server = server;
    this.#meter = gauge;
    this.#options = options;
  }

  async #use(kind: TunnelKind | undefined): Promise<Tunnel | undefined> {
    if (kind !== this.#tunnelKind) {
      await this.#tunnel?.close();
      this.#tunnel = undefined;
      this.#tunnelKind = undefined;
      if (kind) this.#tunnel = await openTunnel(this.#lab, this.#server, kind);
      this.#tunnelKind = kind;
    }
    return this.#tunnel;
  }

  async measure(one: Case): Promise<Measurement> {
    const tunnel = await this.#use(one.tunnel);
    if (one.tunnel === undefined) {
      const open: Crowd['open'] = (request, held) => openCrowd(this.#lab, request, held);
      return await one.measure({ meter: this.#meter, clients: this.#options.clients, open });
    }
    return await one.measure({
      client: this.#lab.client(),
      server: this.#lab.server,
      device: tunnel?.device ?? '',
      meter: this.#meter,
      seconds: this.#options.seconds,
    });
  }
}

/** Runs the selected cases against one server. */
export async function runSide({ kind, id, options, started, result }: SideRun): Promise<void> {
  const lab = new BenchLab(id);
  let gauge: Meter | undefined;
  try {
    await lab.build();
    if (options.softwareSegmentation) await lab.segmentInSoftware();
    chmodSync(lab.folder, 0o755);
    const own = kind === 'ocvpn' ? options.ours : {};
    const server = await startServer(lab, kind, {
      options: { ...COMMON, ...own },
      keys: ['ecdsa'],
      ocserv: { binary: options.ocserv, debug: 0 },
    });
    gauge = meter(server.process.pid);
    await started?.(lab, gauge);
    const side = new Side(lab, server, gauge, options);
    for (const one of cases.filter(({ name }) => options.cases.includes(name))) {
      result({ case: one.name, measured: await side.measure(one) });
    }
  } catch (error) {
    if (options.verbose) console.error(lab.report());
    throw error;
  } finally {
    await lab.close();
    gauge?.close();
  }
}
