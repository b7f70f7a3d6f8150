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
  /** Which of the workers with room takes the next connection. `spare`: how many are kept beyond those in use. */
  choose<Link extends Usage>(ready: readonly Link[], spare: number): Link | undefined;
  /** It will never take another client. */
  isUsedUp(link: Usage): boolean;
  /**
   * How many workers to start, before those that are starting already are counted. `usable`: those that are not used
   * up; `free`: those with room for as good as a whole capacity; `waiting`: connections without a worker; `busyMs`: how
   * long none has been free or come back from a login.
   */
  missing(pool: { usable: number; free: number; waiting: number; spare: number; busyMs: number }): number;
  /** From when on `busyMs` makes a difference. */
  readonly patienceMs: number;
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

/** A worker that dies takes its sessions with it: as few as possible. */
const leastLoaded: WorkerPolicy['choose'] = (ready) => [...ready].sort((a, b) => a.load - b.load)[0];

/**
 * As many as are to be spare share the clients until they are full: what a worker has done is compiled, and a new one
 * costs twice as much.
 */
const evenly: WorkerPolicy['choose'] = (ready, spare) =>
  [...ready]
    .sort((a, b) => b.load - a.load)
    .slice(0, Math.max(1, spare))
    .at(-1);

const shared = (clients: number): WorkerPolicy => ({
  capacity: clients,
  room: ({ load }) => clients - load,
  choose: evenly,
  isUsedUp: () => false,
  missing: upToSpare,
  patienceMs: 0,
  idleMs: 0,
});

const fresh: WorkerPolicy = {
  capacity: 1,
  room: ({ served }) => 1 - served,
  choose: leastLoaded,
  isUsedUp: ({ served }) => served > 0,
  missing: upToSpare,
  patienceMs: 0,
  idleMs: Number.POSITIVE_INFINITY,
};

/** Logins of programs are over sooner, on a busy machine too; people at a prompt take longer. */
const PATIENCE_MS = 500;
/** More waiting connections per worker than it serves in that time. */
const LONG_QUEUE = 4;

const pooled: WorkerPolicy = {
  capacity: 1,
  choose: leastLoaded,
  room: ({ logins, served }) => (logins > 0 || served >= POOLED_LOGINS ? 0 : 1),
  isUsedUp: ({ served }) => served >= POOLED_LOGINS,
  // A worker that does a login comes back: another is started when none has come back for a while, or when too many wait
  // for it; then one after the other, since the time of a start is enough for dozens of logins.
  missing: ({ usable, free, waiting, spare, busyMs }) => {
    const short = usable === 0 || busyMs >= PATIENCE_MS || waiting > LONG_QUEUE * usable;
    return Math.max(spare - usable, short ? Math.min(1, spare) + Math.min(1, waiting) - free : 0);
  },
  patienceMs: PATIENCE_MS,
  idleMs: 60_000,
};
