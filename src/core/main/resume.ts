/**
 * Tunnels that outlived a main: their workers present the tickets, and the clients are entered again as they were.
 *
 * The seal says that main itself made the ticket; the device, the addresses and the newest holder of the cookie are
 * checked here, and secmod is asked whether the session still lives. Packets flow all the while.
 */
import { readFileSync } from 'node:fs';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import {
  type Client,
  type ClientTable,
  type ClientWorker,
  idsOf,
  noDrops,
  type Session,
  UNTOLD,
  ZERO,
} from './clients.js';
import type { LeaseTable } from './leases.js';
import { LINK_MTU } from './new-session.js';
import type { Reservations } from './reservations.js';
import type { SecmodCalls } from './secmod-calls.js';
import type { Sessions } from './sessions.js';
import type { TicketContent, Tickets } from './tickets.js';

export interface ResumptionOptions {
  readonly clients: ClientTable;
  readonly leases: LeaseTable;
  readonly reservations: Reservations;
  readonly sessions: Sessions;
  readonly secmod: SecmodCalls;
  readonly tickets: Tickets;
  readonly log: Logger;
  /** Index of the network interface with this name, null if there is none. */
  readonly interfaceIndex?: (name: string) => number | null;
}

export interface Resumed {
  /** null: refused. */
  readonly client: Client | null;
  readonly reply: Body<'WORKER_RESUME_REP'>;
}

export class Resumption {
  readonly #options: ResumptionOptions;
  readonly #interfaceIndex: (name: string) => number | null;

  constructor(options: ResumptionOptions) {
    this.#options = options;
    this.#interfaceIndex = options.interfaceIndex ?? interfaceIndex;
  }

  /** WORKER_RESUME of a worker. */
  resume(worker: ClientWorker, { client: id, open, ticket }: Body<'WORKER_RESUME'>): Resumed {
    const { tickets, log } = this.#options;
    const content = tickets.open(ticket);
    const result = content === null ? 'the ticket is not ours' : this.#enter(worker, id, open, content);
    if (typeof result !== 'string') return { client: result, reply: { reply: 'OK', reason: '' } };
    const session = content?.session.safeId;
    log.warn(
      { client: id, session, worker: worker.pid, reason: result },
      'tunnel of an earlier server not adopted',
    );
    return { client: null, reply: { reply: 'FAILED', reason: result } };
  }

  /** All open tunnels, for a secmod that has just come up. */
  presentAll(): void {
    for (const client of this.#options.clients.all())
      if (client.session) this.#present(client, client.session);
  }

  /** The client, or why it is refused. */
  #enter(worker: ClientWorker, id: number, open: boolean, content: TicketContent): Client | string {
    const { clients, sessions, log } = this.#options;
    if (content.client !== id || content.workerPid !== worker.pid) return 'the ticket is of another client';
    const { tunName, ifindex, sid } = content.session;
    if (open && this.#interfaceIndex(tunName) !== ifindex) return `device ${tunName} is gone`;
    const other = clients.bySid(sid);
    if (other && other.id >= id) return 'the session has a newer connection';
    const client = clients.restore({ ...content, id, worker });
    if (client === null) return 'the handle is taken';
    if (other) sessions.supersede(other);
    const session = this.#lease(client, content, other);
    if (session === null) {
      clients.remove(client);
      return 'the addresses are taken';
    }
    clients.attach(client, session);
    clients.advance(client, 'resumed');
    log.info(
      { ...idsOf(client), user: session.userName, worker: worker.pid },
      'tunnel of an earlier server adopted',
    );
    sessions.adopted(client, session);
    this.#present(client, session);
    return client;
  }

  /** The lease of the ticket, taken from whoever holds it in the name of the same session. */
  #lease(client: Client, { session }: TicketContent, other: Client | undefined): Session | null {
    const { leases, reservations } = this.#options;
    reservations.release(session.safeId);
    if (other) leases.release(other.id);
    if (!leases.restore(client.id, session.lease)) return null;
    const changing = { mtu: LINK_MTU, ...UNTOLD };
    return { ...session, ...changing, counters: { ...ZERO }, drops: noDrops(), awaitsBaseline: true };
  }

  #present(client: Client, session: Session): void {
    const { secmod, sessions, log } = this.#options;
    void secmod.resumeSession(resumeBody(client, session)).then((reply) => {
      if (reply?.reply !== 'FAILED' || client.state === 'CLOSED') return;
      log.info({ ...idsOf(client), user: session.userName, reason: reply.reason }, 'session is not resumed');
      sessions.disconnect(client, 'server-disconnect');
    });
  }
}

function resumeBody(client: Client, session: Session): Body<'SECM_SESSION_RESUME'> {
  const { userName, groupName, vhost, userAgent, login, startedAt, lease } = session;
  return {
    client: client.id,
    sid: Uint8Array.from(session.sid),
    ...{ userName, groupName, vhost, userAgent },
    ...login,
    sessionStartTime: startedAt,
    lease: JSON.stringify(lease),
  };
}

function interfaceIndex(name: string): number | null {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
