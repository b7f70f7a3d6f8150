/** The certificate that a client shows in its TLS handshake, and what secmod says of it. */
import type { TlsConnection, TlsInfo } from '../native/tls-types.js';
import type { CertificateHolder } from '../session/http-auth.js';
import type { ClientLog } from './client-log.js';
import { messageOf } from './detail.js';
import type { SecmodCalls } from './secmod-calls.js';

/** Whose it is; null without one, and with one that does not count. Never rejects. */
export async function certificateHolder(
  connection: Pick<TlsConnection, 'takeClientHandshake'>,
  { vhost, verifyError }: Pick<TlsInfo, 'vhost' | 'verifyError'>,
  secmod: Pick<SecmodCalls, 'showCertificate'>,
  log: Pick<ClientLog, 'lines'>,
  ip: string,
): Promise<CertificateHolder | null> {
  const handshake = connection.takeClientHandshake();
  const refused = (reason: string): null => {
    log.lines.info({ ip, vhost, reason }, 'a client certificate does not count');
    return null;
  };
  if (verifyError) return refused(verifyError);
  if (!handshake) return null;
  try {
    const { ok, userName, groups, reason } = await secmod.showCertificate(vhost, handshake);
    return ok ? { userName, groups } : refused(reason);
  } catch (error) {
    return refused(`secmod did not look at it: ${messageOf(error)}`);
  }
}
