/** What whoever follows the sessions is told. */
import type { CloseReason } from '../native/types.js';
import type { Client, Session } from './clients.js';

/** A tunnel came up, was taken over from an earlier main, or ended for a reason. */
export interface SessionEvent {
  readonly type: 'connected' | 'adopted' | 'disconnected';
  readonly client: Client;
  readonly session: Session;
  readonly reason: CloseReason | null;
  /** Seconds since the epoch. */
  readonly time: number;
}
