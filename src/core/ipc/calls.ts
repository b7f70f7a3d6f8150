/** Requests of ours that wait for their reply, with deadlines and a limit on how many the peer sees at once. */
import { VpnError } from '../errors.js';
import type { RawBody } from './codec.js';
import type { Role } from './messages.js';
import { MAX_IN_FLIGHT } from './permissions.js';

/** Requests that wait for a free place at the peer; beyond it call() fails with OCS_IPC_BUSY. */
const MAX_WAITING = 16 * 1024;

export interface RawReply {
  readonly body: RawBody;
  readonly fds: readonly number[];
}

export interface PendingCall {
  readonly message: string;
  readonly reply: string;
  readonly timeoutMs: number;
  /** Puts the request on the wire. */
  start(correlation: number): void;
  /** The request was never sent: release what it holds. */
  discard(): void;
}

interface Entry {
  readonly call: PendingCall;
  readonly resolve: (reply: RawReply) => void;
  readonly reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

export class Calls {
  readonly #peer: Role;
  /** By correlation. `null`: timed out, but its late reply is still due and not a violation. */
  readonly #inFlight = new Map<number, { readonly reply: string; entry: Entry | null }>();
  readonly #waiting = new Set<Entry>();
  #last = 0;

  constructor(peer: Role) {
    this.#peer = peer;
  }

  /** Rejects with OCS_IPC_TIMEOUT, OCS_IPC_BUSY, or what close() is given. */
  start(call: PendingCall): Promise<RawReply> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= MAX_WAITING) {
        call.discard();
        reject(new VpnError('OCS_IPC_BUSY', { peer: this.#peer, count: this.#inFlight.size }));
        return;
      }
      const entry: Entry = {
        call,
        resolve,
        reject,
        timer: setTimeout(() => this.#expire(entry), call.timeoutMs),
      };
      entry.timer.unref();
      this.#waiting.add(entry);
      this.#advance();
    });
  }

  /** Name of the reply that this correlation waits for. */
  expectedReply(correlation: number): string | undefined {
    return this.#inFlight.get(correlation)?.reply;
  }

  /** False when nobody waits any more: the caller closes the descriptors. */
  finish(correlation: number, reply: RawReply): boolean {
    const entry = this.#inFlight.get(correlation)?.entry;
    this.#inFlight.delete(correlation);
    if (entry) {
      clearTimeout(entry.timer);
      entry.resolve(reply);
    }
    this.#advance();
    return entry !== undefined && entry !== null;
  }

  /** Fails every call. */
  close(error: Error): void {
    for (const entry of this.#waiting) {
      clearTimeout(entry.timer);
      entry.call.discard();
      entry.reject(error);
    }
    this.#waiting.clear();
    for (const { entry } of this.#inFlight.values()) {
      if (!entry) continue;
      clearTimeout(entry.timer);
      entry.reject(error);
    }
    this.#inFlight.clear();
  }

  #advance(): void {
    for (const entry of this.#waiting) {
      if (this.#inFlight.size >= MAX_IN_FLIGHT) return;
      this.#waiting.delete(entry);
      const correlation = this.#nextCorrelation();
      this.#inFlight.set(correlation, { reply: entry.call.reply, entry });
      entry.call.start(correlation);
    }
  }

  #nextCorrelation(): number {
    do {
      this.#last = this.#last === 0xffff_ffff ? 1 : this.#last + 1;
    } while (this.#inFlight.has(this.#last));
    return this.#last;
  }

  #expire(entry: Entry): void {
    if (this.#waiting.delete(entry)) entry.call.discard();
    for (const flight of this.#inFlight.values()) if (flight.entry === entry) flight.entry = null;
    const { message, timeoutMs } = entry.call;
    entry.reject(new VpnError('OCS_IPC_TIMEOUT', { peer: this.#peer, message, milliseconds: timeoutMs }));
  }
}
