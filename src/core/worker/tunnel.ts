/**
 * One open tunnel: the data plane carries the packets, this reports about it to main and secmod and obeys main.
 */
import type { Channel } from '../ipc/api.js';
import type { TlsConnection, TlsInfo } from '../native/tls-types.js';
import type { CloseReason, Dataplane, NativeIo, TunnelCounters, TunnelEvent } from '../native/types.js';
import type { Session, TunnelPlan } from '../session/tunnel-plan.js';
import { suiteName } from '../wire/cipher-names.js';
import type { ClientLog } from './client-log.js';
import { reportOf } from './detail.js';
import type { Rounds } from './rounds.js';
import type { SecmodLink } from './secmod-link.js';

export interface TunnelDeps {
  readonly io: Pick<NativeIo, 'setNetPriority' | 'close'>;
  readonly dataplane: Dataplane;
  readonly main: Channel<'worker', 'main'>;
  readonly secmod: SecmodLink;
  readonly rounds: Rounds;
  readonly log: Pick<ClientLog, 'lines'>;
  /** main's handle of the client. */
  readonly client: number;
  readonly onClosed: TunnelClosed;
}

export type TunnelClosed = (reason: CloseReason, detail: string, counters: TunnelCounters) => void;

export interface OpenTunnel {
  readonly connection: TlsConnection;
  readonly tls: TlsInfo;
  readonly tcpFd: number;
  /** Ownership goes to the data plane. */
  readonly tunFd: number;
  readonly head: Buffer;
  readonly session: Session;
  readonly plan: TunnelPlan;
}

/** Period of CLI_STATS, and the shortest of SEC_CLI_STATS (ocserv). */
const REPORT_SEC = 10;
/** From being told to end until a tunnel's own process is killed; main's patience is longer. */
const END_LIMIT_MS = 5000;

export class Tunnel {
  readonly id: number;
  readonly #deps: TunnelDeps;
  #main: TunnelDeps['main'];
  #mtu: number;
  readonly #sid: Uint8Array;
  readonly #netPriority: number;
  readonly #tlsSuite: string;
  readonly #compression: { readonly cstpCompr: string; readonly dtlsCompr: string };
  readonly #endings: (() => void)[] = [];
  #dtlsSuite = '';
  #reported: number | undefined;

  /** Moves the connection into the data plane, which answers CONNECT. Throws if it refuses. */
  constructor(deps: TunnelDeps, { connection, tls, tcpFd, tunFd, head, session, plan }: OpenTunnel) {
    this.#deps = deps;
    this.#main = deps.main;
    this.#mtu = plan.mtu.data;
    this.#sid = Uint8Array.from(session.sid);
    this.#netPriority = session.config.netPriority;
    this.#tlsSuite = suiteName(tls);
    const { cstpEncoding, dtlsEncoding } = plan.encodings;
    this.#compression = { cstpCompr: cstpEncoding ?? '', dtlsCompr: dtlsEncoding ?? '' };
    this.#setPriority(tcpFd);
    this.id = deps.dataplane.open(connection, plan.reply, head, { ...plan.options, tunFd });
    this.#introduce();
    this.#startReports(session.config.statsReportTimeSec);
  }

  /** UDP_FD: takes ownership of the descriptor. */
  attachUdp(fd: number, hello: boolean, datagram: Uint8Array): void {
    this.#setPriority(fd);
    this.#deps.dataplane.attachUdp(this.id, fd, hello, datagram);
  }

  /** Another main has taken the client over: it is told what it cannot know. */
  resume(main: TunnelDeps['main']): void {
    this.#main = main;
    this.#reported = undefined;
    this.#introduce();
    this.#reportToMain();
  }

  terminate(how: 'disconnect' | 'drop', reason: CloseReason): void {
    this.#deps.dataplane.terminate(this.id, how, reason);
    const limit = setTimeout(() => this.#deps.dataplane.kill(this.id), END_LIMIT_MS).unref();
    this.#endings.push(() => clearTimeout(limit));
  }

  onEvent(event: Exclude<TunnelEvent, { type: 'sign' }>): void {
    const { client, log } = this.#deps;
    switch (event.type) {
      case 'dtls-up':
        this.#dtlsSuite = suiteName({ ...event, group: '', signatureScheme: 0 });
        log.lines.debug({ suite: this.#dtlsSuite, milliseconds: event.milliseconds }, 'DTLS is up');
        this.#main.sendLater('HANDSHAKE', {
          client,
          channel: 'dtls',
          milliseconds: Math.round(event.milliseconds),
        });
        this.#sendInfo();
        break;
      case 'dtls-down':
        this.#dtlsSuite = '';
        log.lines.debug({ detail: event.detail }, 'DTLS is down; packets go over TLS');
        this.#sendInfo();
        break;
      case 'roamed':
        log.lines.info({ accepted: event.accepted }, 'client address changed');
        break;
      case 'mtu':
        this.#mtu = event.mtu;
        this.#main.send('TUN_MTU', { client, mtu: event.mtu });
        break;
      case 'closed':
        this.#closed(event);
        break;
    }
  }

  #closed({ reason, detail, counters }: Extract<TunnelEvent, { type: 'closed' }>): void {
    for (const end of this.#endings) end();
    // Otherwise main passes it on with SECM_SESSION_CLOSE.
    if (this.#main.closed) this.#reportToSecmod(counters, reason);
    this.#deps.onClosed(reason, detail, counters);
  }

  /** What main cannot know. */
  #introduce(): void {
    this.#main.sendLater('TUN_MTU', { client: this.#deps.client, mtu: this.#mtu });
    this.#sendInfo();
  }

  #sendInfo(): void {
    this.#main.send('SESSION_INFO', {
      client: this.#deps.client,
      tlsCiphersuite: this.#tlsSuite,
      dtlsCiphersuite: this.#dtlsSuite,
      ...this.#compression,
      pid: this.#deps.dataplane.processId(this.id),
    });
  }

  #startReports(statsReportTimeSec: number): void {
    const { rounds } = this.#deps;
    this.#endings.push(rounds.every(REPORT_SEC, () => this.#reportToMain()));
    if (statsReportTimeSec === 0) return;
    const period = Math.max(statsReportTimeSec, REPORT_SEC);
    const report = () => this.#reportToSecmod(this.#deps.dataplane.counters(this.id), 'unspecified');
    this.#endings.push(rounds.every(period, report));
  }

  /** Only what has changed: an idle tunnel is silent, and costs next to nothing however many there are. */
  #reportToMain(): void {
    const activity = this.#deps.dataplane.activity(this.id);
    if (activity === this.#reported) return;
    this.#reported = activity;
    const counters = this.#deps.dataplane.counters(this.id);
    this.#main.send('CLI_STATS', {
      client: this.#deps.client,
      ...reportOf(counters),
      dtlsActive: counters.dtlsActive === 1,
    });
  }

  #reportToSecmod({ rxBytes: bytesIn, txBytes: bytesOut }: TunnelCounters, discReason: CloseReason): void {
    const sid = Uint8Array.from(this.#sid);
    void this.#deps.secmod.send('SEC_CLI_STATS', { sid, bytesIn, bytesOut, discReason });
  }

  #setPriority(fd: number): void {
    if (this.#netPriority === 0) return;
    try {
      this.#deps.io.setNetPriority(fd, this.#netPriority);
    } catch (error) {
      // The tunnel works without it.
      this.#deps.log.lines.warn({ err: error }, 'net-priority cannot be set');
    }
  }
}
