/**
 * Addresses of sessions without a tunnel: as long as the cookie lives nobody else gets them, so that a client that
 * comes back after hours of sleep finds its connections alive. The lease table holds them under the session's name.
 */
import type { Body } from '../ipc/messages.js';
import type { Session } from './clients.js';
import type { Lease, LeaseTable } from './leases.js';

interface Reservation {
  readonly userName: string;
  /** What its client was (see deviceOf); absent when an earlier main leased the addresses. */
  readonly device?: string;
  /** Seconds since the epoch. */
  readonly until: number;
}

/** The same for all connections of one user from one device. */
export const deviceOf = (
  session: Pick<Session, 'vhost' | 'userName' | 'userAgent'>,
  hostname: string,
): string => JSON.stringify([session.vhost, session.userName, session.userAgent, hostname]);

export class Reservations {
  readonly #leases: LeaseTable;
  readonly #bySession = new Map<string, Reservation>();
  /** The last session of each device. */
  readonly #byDevice = new Map<string, string>();

  constructor(leases: LeaseTable) {
    this.#leases = leases;
  }

  get size(): number {
    return this.#bySession.size;
  }

  /** The tunnel of `client` ended: its addresses wait for the session. */
  keep(client: number, safeId: string, reservation: Reservation): void {
    if (!this.#leases.move(client, safeId)) return;
    this.#bySession.set(safeId, reservation);
    if (reservation.device !== undefined) this.#byDevice.set(reservation.device, safeId);
  }

  /** The device has a new login: it does not come back for what its last session had, and may get the same again. */
  giveWay(device: string, safeId: string): void {
    const waiting = this.#byDevice.get(device);
    if (waiting !== undefined && waiting !== safeId) this.release(waiting);
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
    const device = this.#bySession.get(safeId)?.device;
    if (device !== undefined && this.#byDevice.get(device) === safeId) this.#byDevice.delete(device);
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
    if (this.take(safeId)) this.#leases.release(safeId);
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
