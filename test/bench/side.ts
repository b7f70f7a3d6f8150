/** One server of the comparison: started in a lab of its own, put through the cases. */
import { statusOf } from '../support/ocvpn.ts';
import { type ServerKind, startServer, type VpnServer } from '../support/server.ts';
import type { Case, Crowd, TunnelKind } from './cases.ts';
import type { Measurement } from './metrics.ts';
import { BenchLab } from './network.ts';
import type { BenchOptions } from './options.ts';
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
}

export class Side {
  readonly lab: BenchLab;
  readonly meter: Meter;
  readonly #server: VpnServer;
  readonly #request: SideRequest;
  #tunnel: Tunnel | undefined;
  #tunnelKind: TunnelKind | undefined;

  private constructor(lab: BenchLab, server: VpnServer, request: SideRequest) {
    this.lab = lab;
    this.#server = server;
    this.meter = meter(server.process.pid);
    this.#request = request;
  }

  /** Builds a lab and starts the server in it. */
  static async open(request: SideRequest): Promise<Side> {
    const { kind, id, options } = request;
    const lab = new BenchLab(id);
    try {
      await lab.build();
      if (options.softwareSegmentation) await lab.segmentInSoftware();
      const own = kind === 'ocvpn' ? options.ours : {};
      const server = await startServer(lab, kind, {
        options: { ...COMMON, ...own },
        keys: ['ecdsa'],
        ocserv: { binary: options.ocserv, debug: 0 },
      });
      return new Side(lab, server, request);
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

  takes(_: Case): boolean {
    return true;
  }

  /** Opens the tunnel that the case wants, unless it is open from the case before. */
  async prepare(one: Case): Promise<void> {
    await this.#use(one.tunnel);
  }

  async measure(one: Case): Promise<Measurement> {
    if (!one.freshServer) return await this.#measureHere(one);
    const fresh = await Side.open({ ...this.#request, id: `${this.#request.id}.fresh` });
    let measured: Measurement;
    try {
      measured = await fresh.#measureHere(one);
    } catch (error) {
      // What went wrong first is what is told.
      await fresh.close().catch(() => undefined);
      throw error;
    }
    await fresh.close();
    return measured;
  }

  async #measureHere(one: Case): Promise<Measurement> {
    const { clients, seconds, congestion } = this.#request.options;
    const tunnel = await this.#use(one.tunnel);
    if (one.tunnel === undefined) {
      const open: Crowd['open'] = (request, held) => openCrowd(this.lab, request, held);
      const listed = async (): Promise<number> => (await this.#server.users()).length;
      // The other server's status does not differ in cost: its list stands for it.
      const status = async (): Promise<number> =>
        this.#request.kind === 'ocvpn' ? (await statusOf(this.lab)).activeSessions : await listed();
      return await one.measure({ meter: this.meter, clients, seconds, listed, status, open });
    }
    const second = one.second && (await openSecond(this.lab));
    try {
      return await one.measure({
        client: this.lab.client(),
        server: this.lab.server,
        device: tunnel?.device ?? '',
        meter: this.meter,
        seconds,
        congestion,
      });
    } finally {
      await second?.close();
    }
  }

  async close(): Promise<void> {
    await this.lab.close();
    await this.meter.close();
  }
}
