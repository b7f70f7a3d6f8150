/**
 * The worker's connection to secmod. It is made when it is first needed and again after it broke: secmod may be
 * restarted while this process serves a client.
 */
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

export class SecmodLink {
  readonly #connect: ConnectSecmod;
  readonly #log: Logger;
  #path = '';
  #channel: Promise<SecmodChannel> | null = null;
  #closed = false;

  constructor(connect: ConnectSecmod, log: Logger) {
    this.#connect = connect;
    this.#log = log;
  }

  /** Where secmod listens (WORKER_CONFIG); an open connection to another path is given up. */
  setPath(path: string): void {
    if (path === this.#path) return;
    this.#drop();
    this.#path = path;
  }

  /** The open channel. Rejects when secmod cannot be reached. */
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
    const opening = this.#connect(this.#path, {
      self: 'worker',
      peer: 'secmod',
      handlers: {},
      log: this.#log,
      onClose: () => this.#lost(opening),
    });
    opening.catch(() => this.#lost(opening));
    return opening;
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
