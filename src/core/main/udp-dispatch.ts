/**
 * Datagrams of unknown UDP sources (reference protocol §13): which session do they belong to, and may it have a
 * new socket now?
 *
 * A session id is visible on the wire, so anybody may replay a ClientHello. Hand-overs are therefore limited to
 * one in three seconds, counted apart for the address that the client's own TLS connection comes from: replays
 * from elsewhere cannot keep the client itself from getting its DTLS channel. A retransmitted hello that was
 * already queued when the connected socket came into being is dropped by the same rule; the client's next one
 * goes to that socket.
 */
import type { Logger } from '../log.js';
import type { NativeIo, ReceivedDatagram } from '../native/types.js';
import { classifyDatagram } from '../wire/dtls-hello.js';
import { type Client, type ClientTable, idsOf } from './clients.js';

const HANDOVER_INTERVAL_MS = 3000;

export interface UdpDispatchOptions {
  readonly io: Pick<NativeIo, 'connectUdp' | 'close'>;
  readonly clients: ClientTable;
  readonly log: Logger;
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs: () => number;
  /** Let hellos with an all-zero random through (OCSERV_ALLOW_BROKEN_CLIENTS). */
  readonly allowZeroRandom: boolean;
}

/** Why a datagram went nowhere, or that it was handed over. */
export type Outcome = 'handed-over' | 'malformed' | 'unknown' | 'not-open' | 'too-soon' | 'no-socket';

interface LastHandover {
  own: number;
  foreign: number;
}

export class UdpDispatch {
  readonly #options: UdpDispatchOptions;
  readonly #last = new WeakMap<Client, LastHandover>();
  readonly counts: Record<Outcome, number> = {
    'handed-over': 0,
    malformed: 0,
    unknown: 0,
    'not-open': 0,
    'too-soon': 0,
    'no-socket': 0,
  };

  constructor(options: UdpDispatchOptions) {
    this.#options = options;
  }

  /** Takes one datagram of the unconnected socket. */
  handle(datagram: ReceivedDatagram): Outcome {
    const outcome = this.#dispatch(datagram);
    this.counts[outcome]++;
    return outcome;
  }

  #dispatch(datagram: ReceivedDatagram): Outcome {
    const { clients, log, allowZeroRandom } = this.#options;
    const seen = classifyDatagram(datagram.data, allowZeroRandom);
    if (seen.kind === 'drop') {
      log.trace({ ip: datagram.remote.address, reason: seen.reason }, 'datagram dropped');
      return 'malformed';
    }
    const hello = seen.kind === 'hello';
    const client = hello ? clients.byDtlsId(seen.id) : clients.onlyByAddress(datagram.remote.address);
    if (client === undefined) {
      log.debug({ ip: datagram.remote.address, hello }, 'datagram of no known session');
      return 'unknown';
    }
    if (client.state !== 'COMPLETED' || client.ending !== null || client.session?.config.noUdp)
      return 'not-open';
    if (!this.#mayHandOver(client, datagram.remote.address)) return 'too-soon';
    return this.#handOver(client, datagram, hello);
  }

  /** At most one hand-over in the interval, for the client's own address and for all others. */
  #mayHandOver(client: Client, ip: string): boolean {
    const now = this.#options.nowMs();
    const last = this.#last.get(client) ?? { own: -HANDOVER_INTERVAL_MS, foreign: -HANDOVER_INTERVAL_MS };
    const slot = ip === client.remote.address ? 'own' : 'foreign';
    if (now - last[slot] < HANDOVER_INTERVAL_MS) return false;
    last[slot] = now;
    this.#last.set(client, last);
    return true;
  }

  #handOver(client: Client, datagram: ReceivedDatagram, hello: boolean): Outcome {
    const { io, clients, log } = this.#options;
    let fd: number;
    try {
      fd = io.connectUdp(datagram.local, datagram.remote);
    } catch (error) {
      log.warn({ ...idsOf(client), ip: datagram.remote.address, err: error }, 'no socket for the UDP source');
      return 'no-socket';
    }
    clients.setUdpSource(client, datagram.remote.address);
    client.worker.sendUdp(client.id, hello, datagram.data, fd);
    log.debug(
      { ...idsOf(client), ip: datagram.remote.address, port: datagram.remote.port, hello },
      'UDP handed over',
    );
    return 'handed-over';
  }
}
