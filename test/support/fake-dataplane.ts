/** A data plane that needs no tun device: it answers CONNECT and remembers what it was told. */
import { native } from '../../src/core/native/index.js';
import type { TlsConnection } from '../../src/core/native/tls-types.js';
import type { TunnelOptions } from '../../src/core/native/tunnel-types.js';
import type { CloseReason, Dataplane, DataplaneEvent, TunnelCounters } from '../../src/core/native/types.js';

const ZERO_COUNTERS: TunnelCounters = {
  rxBytes: 0,
  rxPackets: 0,
  txBytes: 0,
  txPackets: 0,
  rxTlsPackets: 0,
  rxDtlsPackets: 0,
  txTlsPackets: 0,
  txDtlsPackets: 0,
  dropsTooBig: 0,
  dropsMalformed: 0,
  dropsSource: 0,
  dropsRateLimit: 0,
  dropsStreamFull: 0,
  dropsTunFull: 0,
  dropsReplay: 0,
  tunReads: 0,
  tunSuperPackets: 0,
  tunWrites: 0,
  tunCoalesced: 0,
  udpSends: 0,
  udpSegmented: 0,
  udpReceives: 0,
  udpGroReceives: 0,
  tlsWrites: 0,
  rxCompressed: 0,
  txCompressed: 0,
  txCompressionSaved: 0,
  acksFiltered: 0,
  idleMs: 0,
  dtlsActive: 0,
};

/** Answers CONNECT and remembers what it was told. */
export class FakeDataplane implements Dataplane {
  readonly opened: { id: number; options: TunnelOptions; head: Buffer; connection: TlsConnection }[] = [];
  readonly attached: { id: number; hello: boolean; datagram: Buffer }[] = [];
  readonly terminated: { id: number; how: string; reason: CloseReason }[] = [];
  readonly signed: { id: number; requestId: number; signature: Uint8Array | null }[] = [];
  onSigned: () => void = () => undefined;
  counts: TunnelCounters = ZERO_COUNTERS;
  closed = false;
  templates = 0;
  /** Process ids of the tunnels count up from here. */
  readonly pids = 40_000;
  /** A process of its own for each tunnel. */
  readonly processes: boolean;
  readonly #onEvent: (event: DataplaneEvent) => void;

  constructor(onEvent: (event: DataplaneEvent) => void, processes: boolean) {
    this.processes = processes;
    this.#onEvent = onEvent;
  }

  startTemplate(): void {
    this.templates += 1;
  }

  open(connection: TlsConnection, response: Uint8Array, head: Uint8Array, options: TunnelOptions): number {
    const id = this.opened.length + 1;
    connection.write(response);
    this.opened.push({ id, options, head: Buffer.from(head), connection });
    return id;
  }

  attachUdp(id: number, fd: number, hello: boolean, datagram: Uint8Array): void {
    native.io.close(fd);
    this.attached.push({ id, hello, datagram: Buffer.from(datagram) });
  }

  terminate(id: number, how: 'disconnect' | 'drop', reason: CloseReason): void {
    this.terminated.push({ id, how, reason });
    this.end(id, reason);
  }

  kill(id: number): void {
    this.end(id, 'error');
  }

  processId(id: number): number {
    return this.pids + id;
  }

  completeSign(id: number, requestId: number, signature: Uint8Array | null): void {
    this.signed.push({ id, requestId, signature });
    this.onSigned();
  }

  /** As if the tunnel had ended. */
  end(id: number, reason: CloseReason, counters: Partial<TunnelCounters> = {}): void {
    this.opened.find((tunnel) => tunnel.id === id)?.connection.destroy();
    this.emit({ type: 'closed', id, reason, detail: '', counters: { ...ZERO_COUNTERS, ...counters } });
  }

  emit(event: DataplaneEvent): void {
    this.#onEvent(event);
  }

  counters(): TunnelCounters {
    return this.counts;
  }

  activity(): number {
    const { rxPackets, txPackets, dtlsActive } = this.counts;
    return 2 * (rxPackets + txPackets) + dtlsActive;
  }

  close(): void {
    this.closed = true;
  }
}
