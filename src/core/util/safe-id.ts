/** The name of a session that logs and control tools may show. */
import { hash } from 'node:crypto';

/** base64 of the SHA-1 of the SID, 28 characters (as ocserv's safe_id). */
export function safeIdOf(sid: Uint8Array): string {
  return hash('sha1', sid, 'base64');
}
