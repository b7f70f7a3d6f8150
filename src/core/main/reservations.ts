/**
 * Addresses of sessions without a tunnel: as long as the cookie lives nobody else gets them, so that a client that
 * comes back after hours of sleep finds its connections alive. The lease table holds them under the session's name.
 */
import type { Body } from '../ipc/messages.js';
import type { Lease, LeaseTable } from './leases.js';

interface Reservation {
  readonly userName: string;
  /** Seconds since the epoch. */
  readonly until: number;
}

export class Reservations {
  readonly #leases: LeaseTable;
  readonly #bySession = new Map<string, Reservation>();

  constructor(leases: LeaseTable) {
    this.#leases = leases;
  }

  get size(): number {
    return this.#bySession.size;
  }

  /** The tunnel of `client` ended: its addresses wait for the session. */
  keep(client: number, safeId: string, reservation: Reservation): void {
    if (this.#leases.move(client, safeId)) this.#bySession.set(safeId, reservation);
  }

  /** Addresses that an earlier main leased. False when somebody has them. */
  restore(safeId: string, lease: Lease, reservation: Reservation): boolean {
    const done = this.#leases.restore(safeId, lease);
    if (done) this.#bySession.set(safeId, reservation);
    return done;
  }

  /** What secmod kept for an earlier main; addresses that somebody has by now are passed over. */
  restoreAll(held: Body<'SECM_LIST_LEASES_REPLY'>['leases']): void {
    for (const { safeId, userName, expires, lease } of held)
      this.restore(safeId, JSON.parse(lease) as Lease, { userName, until: expires });
  }

  /** Whether addresses wait for this session; whoever acquires them from it calls this. */
  take(safeId: string): boolean {
    return this.#bySession.delete(safeId);
  }

  /** How long the cookie really lives; 0 when it is gone. No effect once the client is back. */
  setEnd(safeId: string, until: number): void {
    const found = this.#bySession.get(safeId);
    if (!found) return;
    if (until === 0) this.release(safeId);
    else this.#bySession.set(safeId, { ...found, until });
  }

  release(safeId: string): void {
    if (this.#bySession.delete(safeId)) this.#leases.release(safeId);
  }

  /** As release, if the session is of this user. */
  releaseOf(safeId: string, userName: string): void {
    if (this.#bySession.get(safeId)?.userName === userName) this.release(safeId);
  }

  /** All cookies of a user were invalidated. */
  releaseUser(userName: string): void {
    for (const [safeId, reservation] of this.#bySession)
      if (reservation.userName === userName) this.release(safeId);
  }

  expire(now: number): void {
    for (const [safeId, { until }] of this.#bySession) if (until <= now) this.release(safeId);
  }
}
