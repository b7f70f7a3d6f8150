/** What workers report about their connections and tunnels. Nothing of it is believed beyond its bounds. */
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import type { NativeIo } from '../native/types.js';
import { type Channels, type Client, idsOf, type Report, raise } from './clients.js';
import type { ServerStats } from './server-stats.js';
import type { SessionHooks } from './session-hooks.js';

const MIN_TUN_MTU = 68;
const MAX_TUN_MTU = 16384;

export interface SessionReportsOptions {
  readonly io: Pick<NativeIo, 'setInterfaceMtu'>;
  readonly log: Logger;
  readonly stats: ServerStats;
  readonly hooks: Pick<SessionHooks, 'reported'>;
}

export class SessionReports {
  readonly #options: SessionReportsOptions;
  #changed = new Set<Client>();

  constructor(options: SessionReportsOptions) {
    this.#options = options;
  }

  /** TUN_MTU. Values out of range are ignored: the worker is not trusted with the device. */
  setMtu(client: Client, mtu: number): void {
    const { io, log, stats } = this.#options;
    const { session } = client;
    if (session === null) return;
    if (mtu < MIN_TUN_MTU || mtu > (session.config.mtu || MAX_TUN_MTU)) {
      log.warn({ ...idsOf(client), mtu }, 'MTU out of range; kept as it was');
      return;
    }
    try {
      io.setInterfaceMtu(session.ifindex, mtu);
    } catch (error) {
      // The device goes when its worker closes it, perhaps just now.
      log.debug({ ...idsOf(client), device: session.tunName, err: error }, 'MTU not set');
      return;
    }
    session.mtu = mtu;
    stats.mtu(mtu);
  }

  /** SESSION_INFO; the first one of a session is the moment for what waits until it is complete. */
  info(client: Client, told: Readonly<Channels>): void {
    const { session } = client;
    if (session === null) return;
    const isFirst = session.tlsCipher === '';
    Object.assign(session, told);
    if (isFirst) this.#options.hooks.reported(client, session);
  }

  /** Whether DTLS carries the packets, as CLI_STATS says. */
  dtls(client: Client, dtlsActive: boolean): void {
    if (client.session) client.session.dtlsActive = dtlsActive;
  }

  /** CLI_STATS, and the counts of CLIENT_CLOSED. */
  count(client: Client, report: Report): void {
    const { session } = client;
    if (session === null) return;
    this.#changed.add(client);
    const news = raise(session, report);
    if (!session.awaitsBaseline) this.#options.stats.traffic(news);
    session.awaitsBaseline = false;
  }

  /** Clients that have reported since this was called last, some of which may have gone. */
  takeChanged(): Iterable<Client> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** HANDSHAKE. */
  handshake(client: Client, report: Body<'HANDSHAKE'>): void {
    client.secure = true;
    this.#options.stats.handshake(report);
  }
}
