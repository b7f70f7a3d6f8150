/** What sessions ask of secmod; `SecmodLink` is the real one. */
import type { Body } from '../ipc/messages.js';

export interface SecmodCalls {
  openSession(body: Body<'SECM_SESSION_OPEN'>): Promise<Body<'SECM_SESSION_REPLY'>>;
  /** A tunnel that outlived main or secmod. Null when no secmod is there: the next one is told of all tunnels. */
  resumeSession(body: Body<'SECM_SESSION_RESUME'>): Promise<Body<'SECM_SESSION_REPLY'> | null>;
  /** Never rejects; null when secmod could not be told, which is logged. */
  closeSession(body: Body<'SECM_SESSION_CLOSE'>): Promise<Body<'SECM_CLI_STATS'> | null>;
  sessionAddresses(body: Body<'SECM_SESSION_ADDRESSES'>): void;
}
