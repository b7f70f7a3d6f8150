/**
 * Types of the IPC layer, all derived from `messages.ts`. Implementations: `channel.ts` (unix socket),
 * `memory-channel.ts` (joins two roles in one test process).
 */
import type { Logger } from '../log.js';
import type { PeerCredentials } from '../native/types.js';
import type { Body, MessageName, Messages, ReplyOf, Role } from './messages.js';

type OneOf<T> = T extends readonly (infer U)[] ? U : T;
/** Messages that `From` may start towards `To` (replies excluded). */
export type MessagesBetween<From extends Role, To extends Role> = {
  [N in MessageName]: Messages[N] extends { isReply: true }
    ? never
    : From extends OneOf<Messages[N]['from']>
      ? To extends OneOf<Messages[N]['to']>
        ? N
        : never
      : never;
}[MessageName];

/** A body with descriptors. Whoever receives it owns the descriptors. */
export interface WithFds<B> {
  readonly body: B;
  readonly fds: readonly number[];
}

export interface Incoming<Self extends Role, Peer extends Role> {
  /** Received descriptors; the handler owns them. */
  readonly fds: readonly number[];
  readonly channel: Channel<Self, Peer>;
}

type HandlerResult<N extends MessageName> = [ReplyOf<N>] extends [never]
  ? void | Promise<void>
  : Body<ReplyOf<N>> | WithFds<Body<ReplyOf<N>>> | Promise<Body<ReplyOf<N>> | WithFds<Body<ReplyOf<N>>>>;

/** One handler per message that `Peer` may send to `Self`; a missing one does not compile. HELLO is handled by the listener. */
export type Handlers<Self extends Role, Peer extends Role> = {
  readonly [N in Exclude<MessagesBetween<Peer, Self>, 'HELLO'>]: (
    body: Body<N>,
    incoming: Incoming<Self, Peer>,
  ) => HandlerResult<N>;
};

export interface CallOptions {
  readonly fds?: readonly number[];
  /** Default 10 s. Rejects with OCS_IPC_TIMEOUT. */
  readonly timeoutMs?: number;
}

/** A connection to one peer process. */
export interface Channel<Self extends Role, Peer extends Role> {
  readonly self: Self;
  readonly peer: Peer;
  readonly credentials: PeerCredentials;
  /** One-way message. Never throws for a closed channel: the message is dropped, onClose tells. `fds` are closed by the channel once they are sent. */
  send<N extends MessagesBetween<Self, Peer>>(name: N, body: Body<N>, fds?: readonly number[]): void;
  /**
   * One-way message that nobody waits for: it goes with the next one to this peer, which is not woken twice, or within
   * LATER_MS. Messages keep their order.
   */
  sendLater<N extends MessagesBetween<Self, Peer>>(name: N, body: Body<N>): void;
  /** Request with a reply. Rejects with OCS_IPC_TIMEOUT / OCS_IPC_CLOSED. `fds` are closed once they are sent. */
  call<N extends MessagesBetween<Self, Peer>>(
    name: N,
    body: Body<N>,
    options?: CallOptions,
  ): Promise<WithFds<Body<ReplyOf<N> & MessageName>>>;
  /** Flushes and closes. */
  close(): void;
  readonly closed: boolean;
}

export interface ChannelOptions<Self extends Role, Peer extends Role> {
  readonly self: Self;
  readonly peer: Peer;
  readonly handlers: Handlers<Self, Peer>;
  readonly log: Logger;
  /** State of a client for the `when` check (receiver's table); undefined: the client is unknown, which is a violation for messages with `when`. */
  readonly stateOf?: (client: number) => string | undefined;
  /** Called once. `violation` is set when we closed the peer for breaking the protocol. */
  readonly onClose?: (channel: Channel<Self, Peer>, violation: Error | null) => void;
}

export interface IpcListener {
  readonly path: string;
  /** Stops accepting and removes the socket file. Open channels stay. */
  close(): void;
}

/**
 * channel.ts exports:
 *
 *   connectIpc<Self, Peer>(path: string, options: ChannelOptions<Self, Peer>): Promise<Channel<Self, Peer>>
 *     connects, exchanges HELLO, resolves when the peer answered HELLO_REP.
 *
 *   listenIpc<Self>(options: {
 *     path: string; mode: number; self: Self; log: Logger;
 *     // Decides by credentials and claimed role; returns the options of the channel, or null to refuse (logged).
 *     accept(role: 'main' | 'worker', credentials: PeerCredentials): ChannelOptions<Self, any role> | null;
 *     onChannel(channel): void;
 *   }): IpcListener
 *     Refuses to take over a socket that a live server answers on; removes a stale file.
 */
