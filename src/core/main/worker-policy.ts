/**
 * Which worker may have the next connection, and how many are kept.
 *
 * shared: many clients at once, tunnels included. fresh: one client in a worker's life. pooled: one login after the
 * other; the tunnels are processes of their own then (session-process).
 */
import type { VhostConfig } from '../config/schema.js';
import { POOLED_LOGINS } from '../config/worker-config.js';
import type { WorkerLink } from './worker-link.js';

export interface WorkerPolicy {
  /** Room of a worker without clients. */
  readonly capacity: number;
  /** How many more clients this worker can take now. */
  room(link: Usage): number;
  /** It will never take another client. */
  isUsedUp(link: Usage): boolean;
  /**
   * How many workers to start, before those that are starting already are counted. `usable`: those that are not used
   * up; `free`: those with room for as good as a whole capacity; `waiting`: connections without a worker.
   */
  missing(pool: { usable: number; free: number; waiting: number; spare: number }): number;
  /** How long a worker without clients stays beyond those that `spare` asks for, milliseconds. */
  readonly idleMs: number;
}

type Usage = Pick<WorkerLink, 'load' | 'logins' | 'served'>;

export type WorkerSettings = Pick<VhostConfig, 'worker-clients' | 'session-process'>;

export function workerPolicy(settings: WorkerSettings): WorkerPolicy {
  const clients = settings['worker-clients'];
  if (clients > 1) return shared(clients);
  return settings['session-process'] === 'pooled' ? pooled : fresh;
}

const upToSpare: WorkerPolicy['missing'] = ({ free, waiting, spare }) => spare + waiting - free;

const shared = (clients: number): WorkerPolicy => ({
  capacity: clients,
  room: ({ load }) => clients - load,
  isUsedUp: () => false,
  missing: upToSpare,
  idleMs: 0,
});

const fresh: WorkerPolicy = {
  capacity: 1,
  room: ({ served }) => 1 - served,
  isUsedUp: ({ served }) => served > 0,
  missing: upToSpare,
  idleMs: Number.POSITIVE_INFINITY,
};

const pooled: WorkerPolicy = {
  capacity: 1,
  room: ({ logins, served }) => (logins > 0 || served >= POOLED_LOGINS ? 0 : 1),
  isUsedUp: ({ served }) => served >= POOLED_LOGINS,
  // A worker that does a login comes back: only when all are busy another is started, and while connections wait one
  // after the other, since the time of a start is enough for dozens of logins.
  missing: ({ usable, free, waiting, spare }) =>
    Math.max(spare - usable, Math.min(1, spare) + Math.min(1, waiting) - free),
  idleMs: 60_000,
};
