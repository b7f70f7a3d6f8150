/**
 * What one peer may send now. Everything comes from the declarations: direction, states of the client (`when`),
 * once per client, replies only to requests, requests only with a correlation of their own.
 */
import type { RawBody } from './codec.js';
import type { Role } from './messages.js';
import { allowedBetween, type RegisteredMessage } from './registry.js';
import { IpcViolation } from './violation.js';

/** Requests of one peer that wait for our answer. More is a violation; callers keep below it by queueing. */
export const MAX_IN_FLIGHT = 1024;
/** `once` entries are looked through for dead clients when there are this many. */
const ONCE_SWEEP = 1024;

export interface PeerState {
  readonly self: Role;
  readonly peer: Role;
  /** State of a client in our table; undefined: unknown. */
  readonly stateOf: (client: number) => string | undefined;
  /** Message that a pending request of ours waits for, undefined when no request has this correlation. */
  readonly expectedReply: (correlation: number) => string | undefined;
}

export class Permissions {
  readonly #state: PeerState;
  readonly #answering = new Set<number>();
  readonly #seen = new Map<string, Set<number>>();
  #greeted: boolean;

  /** @param greeted false while we wait for HELLO_REP, which then is the only legal message */
  constructor(state: PeerState, greeted: boolean) {
    this.#state = state;
    this.#greeted = greeted;
  }

  greeted(): void {
    this.#greeted = true;
  }

  /** From the header alone, before the body is received. @throws IpcViolation */
  checkHeader(message: RegisteredMessage, correlation: number): void {
    const { self, peer } = this.#state;
    if (!allowedBetween(message, peer, self)) {
      throw new IpcViolation('direction', `${message.name} does not go from ${peer} to ${self}`);
    }
    if (message.name === 'HELLO' || this.#greeted === (message.name === 'HELLO_REP')) {
      throw new IpcViolation('hello', `${message.name} ${this.#greeted ? 'again' : 'before HELLO_REP'}`);
    }
    if (message.spec.isReply) this.#checkReply(message, correlation);
    else if (message.spec.reply) this.#checkRequest(message, correlation);
    else if (correlation !== 0) {
      throw new IpcViolation('correlation', `${message.name} is one-way but has a correlation`);
    }
  }

  #checkRequest(message: RegisteredMessage, correlation: number): void {
    if (correlation === 0 || this.#answering.has(correlation)) {
      throw new IpcViolation('correlation', `${message.name} has no correlation of its own`);
    }
    if (this.#answering.size >= MAX_IN_FLIGHT) {
      throw new IpcViolation('flood', `more than ${MAX_IN_FLIGHT} unanswered requests`);
    }
  }

  /** With the decoded body: `when` and `once`. @throws IpcViolation */
  checkBody(message: RegisteredMessage, body: RawBody): void {
    const { when, once } = message.spec;
    if (!when && !once) return;
    const client = body.client as number;
    const state = this.#state.stateOf(client);
    if (when && (state === undefined || !when.includes(state))) {
      const found = state ?? 'unknown';
      throw new IpcViolation('state', `${message.name} for client ${client}, which is ${found}`);
    }
    if (once) this.#checkOnce(message.name, client);
  }

  /** A request's handler starts; it ends with answered(). */
  answering(correlation: number): void {
    this.#answering.add(correlation);
  }

  answered(correlation: number): void {
    this.#answering.delete(correlation);
  }

  #checkReply(message: RegisteredMessage, correlation: number): void {
    const expected = this.#state.expectedReply(correlation);
    if (expected !== message.name) {
      throw new IpcViolation(
        'reply',
        `${message.name} answers ${expected ? `a request for ${expected}` : 'nothing'}`,
      );
    }
  }

  #checkOnce(name: string, client: number): void {
    let clients = this.#seen.get(name);
    if (!clients) {
      clients = new Set();
      this.#seen.set(name, clients);
    }
    if (clients.has(client)) throw new IpcViolation('once', `${name} twice for client ${client}`);
    clients.add(client);
    if (clients.size >= ONCE_SWEEP) this.#forgetDeadClients(clients);
  }

  // A client that our table no longer knows cannot pass `when` again, so its entry protects nothing.
  #forgetDeadClients(clients: Set<number>): void {
    for (const client of clients) if (this.#state.stateOf(client) === undefined) clients.delete(client);
  }
}
