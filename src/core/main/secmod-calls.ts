/** What sessions ask of secmod; `SecmodLink` is the real one. */
import type { Body } from '../ipc/messages.js';

export interface SecmodCalls {
  openSession(body: Body<'SECM_SESSION_OPEN'>): Promise<Body<'SECM_SESSION_REPLY'>>;
  /** Not waited for; a failure is logged. */
  closeSession(body: Body<'SECM_SESSION_CLOSE'>): void;
  sessionAddresses(body: Body<'SECM_SESSION_ADDRESSES'>): void;
}
