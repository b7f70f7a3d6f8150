/**
 * The worker's connection to secmod. It is made when it is first needed and again after it broke: secmod may be
 * restarted while this process serves a client, who waits for it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel, ChannelOptions, MessagesBetween } from '../ipc/api.js';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';

export type SecmodChannel = Channel<'worker', 'secmod'>;
type ToSecmod = MessagesBetween<'worker', 'secmod'>;
/** connectIpc, or its in-memory counterpart in tests. */
export type ConnectSecmod = (
  path: string,
  options: ChannelOptions<'worker', 'secmod'>,
) => Promise<SecmodChannel>;

/** As long as main waits for a secmod that is being started again. */
const PATIENCE_MS = 10_000;
const PAUSE_MS = 100;

export class SecmodLink {
  readonly #connect: ConnectSecmod;
  readonly #log: Logger;
  readonly #patienceMs: number;
  #path = '';
  #channel: Promise<SecmodChannel> | null = null;
  #closed = false;

  constructor(connect: ConnectSecmod, log: Logger, patienceMs = PATIENCE_MS) {
    this.#connect = connect;
    this.#log = log;
    this.#patienceMs = patienceMs;
  }

  /** Where secmod listens (WORKER_CONFIG); an open connection to another path is given up. */
  setPath(path: string): void {
    if (path === this.#path) return;
    this.#drop();
    this.#path = path;
  }

  /** The open channel. Rejects when secmod cannot be reached for so long. */
  channel(): Promise<SecmodChannel> {
    this.#channel ??= this.#open();
    return this.#channel;
  }

  /** One-way message; a failure to deliver it is logged. */
  async send<N extends ToSecmod>(name: N, body: Body<N>): Promise<void> {
    try {
      (await this.channel()).send(name, body);
    } catch (error) {
      this.#log.warn({ err: error, message: name }, 'a message to secmod is lost');
    }
  }

  /** Flushes and closes for good. */
  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #open(): Promise<SecmodChannel> {
    const opening = this.#reach(this.#path, () => this.#lost(opening));
    opening.catch(() => this.#lost(opening));
    return opening;
  }

  /** A secmod that starts refuses workers until main has told it who they are. */
  async #reach(path: string, onClose: () => void): Promise<SecmodChannel> {
    const end = performance.now() + this.#patienceMs;
    for (;;) {
      let open = false;
      try {
        const channel = await this.#connect(path, {
          self: 'worker',
          peer: 'secmod',
          handlers: {},
          log: this.#log,
          onClose: () => open && onClose(),
        });
        open = true;
        if (channel.closed) onClose();
        return channel;
      } catch (error) {
        if (this.#closed || path !== this.#path || performance.now() >= end) throw error;
      }
      await sleep(PAUSE_MS);
    }
  }

  #lost(channel: Promise<SecmodChannel>): void {
    if (this.#channel !== channel) return;
    this.#channel = null;
    if (!this.#closed) this.#log.debug('connection to secmod ended; the next message opens another');
  }

  #drop(): void {
    const channel = this.#channel;
    this.#channel = null;
    // A failed connection attempt was reported to whoever asked for it.
    channel?.then(
      (open) => open.close(),
      () => undefined,
    );
  }
}
