/** What sessions ask of secmod; `SecmodLink` is the real one. */
import type { Body } from '../ipc/messages.js';

export interface SecmodCalls {
  openSession(body: Body<'SECM_SESSION_OPEN'>): Promise<Body<'SECM_SESSION_REPLY'>>;
  /** Not waited for; a failure is logged. */
  /** Totals of the session for the disconnect script; null when secmod could not be told. Never rejects. */
  closeSession(body: Body<'SECM_SESSION_CLOSE'>): Promise<Body<'SECM_CLI_STATS'> | null>;
  sessionAddresses(body: Body<'SECM_SESSION_ADDRESSES'>): void;
}
