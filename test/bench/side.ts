/** One server of the comparison: started in a lab of its own, put through the cases. */

import { statusOf } from '../support/ocvpn.ts';
import { type ServerKind, startServer, type VpnServer } from '../support/server.ts';
import type { Case, CrowdCase, TunnelCase, TunnelKind } from './cases.ts';
import type { Crowd } from './crowd.ts';
import { certificateLogin, type Identity } from './identity.ts';
import type { Measured } from './metrics.ts';
import { BenchLab } from './network.ts';
import type { BenchOptions } from './options.ts';
import type { Bench } from './traffic.ts';
import { openCrowd, openSecond, openTunnel, type Tunnel } from './tunnels.ts';
import { type Meter, meter } from './usage.ts';

/** Limits that would end a crowd from one address; the same for both servers. */
const COMMON = {
  'max-clients': 0,
  'max-same-clients': 0,
  'ipv4-network': '10.96.0.0/14',
  dpd: 300,
};

export interface SideRequest {
  readonly kind: ServerKind;
  /** Name of the lab; unique within the process. */
  readonly id: string;
  readonly options: BenchOptions;
  /** The one case that it is for, if it is for one only. */
  readonly only?: CrowdCase;
}

export class Side {
  readonly lab: BenchLab;
  readonly meter: Meter;
  readonly #server: VpnServer;
  readonly #identity: Identity | undefined;
  readonly #request: SideRequest;
  #tunnel: Tunnel | undefined;
  #tunnelKind: TunnelKind | undefined;

  private constructor(lab: BenchLab, server: VpnServer, request: SideRequest, identity?: Identity) {
    this.lab = lab;
    this.#server = server;
    this.#identity = identity;
    this.meter = meter(server.process.pid);
    this.#request = request;
  }

  /** Builds a lab and starts the server in it. */
  static async open(request: SideRequest): Promise<Side> {
    const { kind, id, options, only } = request;
    const lab = new BenchLab(id);
    try {
      await lab.build();
      await lab.tune(options);
      const own = kind === 'ocvpn' ? { ...options.ours, ...only?.ours } : {};
      const login = only?.certificates ? certificateLogin(lab) : undefined;
      const server = await startServer(lab, kind, {
        options: { ...COMMON, ...login?.options, ...own },
        keys: ['ecdsa'],
        ocserv: { binary: options.ocserv, debug: 0 },
      });
      return new Side(lab, server, request, login?.identity);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  async #use(kind: TunnelKind | undefined): Promise<Tunnel | undefined> {
    if (kind !== this.#tunnelKind) {
      await this.#tunnel?.close();
      this.#tunnel = undefined;
      this.#tunnelKind = undefined;
      if (kind) this.#tunnel = await openTunnel(this.lab, this.#server, kind);
      this.#tunnelKind = kind;
    }
    return this.#tunnel;
  }

  /** Main's. */
  get pid(): number {
    return this.#server.process.pid;
  }

  takes(one: Case): boolean {
    return one.tunnel !== undefined || !one.alone || this.#request.kind === 'ocvpn';
  }

  /** Opens the tunnel that the case wants, unless it is open from the case before. */
  async prepare(one: Case): Promise<void> {
    await this.#use(one.tunnel);
  }

  async measure(one: Case): Promise<Measured> {
    if (one.tunnel !== undefined) return await this.#measureTraffic(one);
    const fresh = await Side.open({ ...this.#request, id: `${this.#request.id}.fresh`, only: one });
    let measured: Measured;
    try {
      measured = await one.measure(fresh.#crowd(one));
    } catch (error) {
      // What went wrong first is what is told.
      await fresh.close().catch(() => undefined);
      throw error;
    }
    await fresh.close();
    return measured;
  }

  #bench(device: string): Bench {
    const { seconds, congestion } = this.#request.options;
    return {
      client: this.lab.client(),
      server: this.lab.server,
      device,
      meter: this.meter,
      seconds,
      congestion,
    };
  }

  async #measureTraffic(one: TunnelCase): Promise<Measured> {
    const tunnel = await this.#use(one.tunnel);
    const second = one.second && (await openSecond(this.lab));
    try {
      return await one.measure(this.#bench(tunnel?.device ?? ''));
    } finally {
      await second?.close();
    }
  }

  #crowd({ leastClients = 1 }: CrowdCase): Crowd {
    const { clients, seconds } = this.#request.options;
    const listed = async (): Promise<number> => (await this.#server.users()).length;
    return {
      meter: this.meter,
      clients: Math.max(clients, leastClients),
      seconds,
      listed,
      // The other server's status does not differ in cost: its list stands for it.
      status: async () =>
        this.#request.kind === 'ocvpn' ? (await statusOf(this.lab)).activeSessions : await listed(),
      open: (request, held) => openCrowd(this.lab, { ...request, identity: this.#identity }, held),
      beside: async (measure) => {
        const tunnel = await openTunnel(this.lab, this.#server, 'stock-dtls');
        await measure(this.#bench(tunnel.device));
        await tunnel.close();
      },
    };
  }

  async close(): Promise<void> {
    await this.lab.close();
    await this.meter.close();
  }
}
