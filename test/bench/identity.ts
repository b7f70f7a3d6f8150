/** Logins by client certificate instead of a password. */
import { ClientPki } from '../support/client-pki.ts';
import type { Lab } from '../support/lab.ts';
import { defaultUsers, type ServerOptions } from '../support/server.ts';

/** Files of a client certificate and its key. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
}

/** Name of the user (UID) in a certificate. */
const USER_OID = '0.9.2342.19200300.100.1.1';

/** A certificate for the first user, and what makes a server let it in. */
export function certificateLogin(lab: Lab): { identity: Identity; options: ServerOptions } {
  const [user = { name: '' }] = defaultUsers;
  const pki = new ClientPki(lab.folder);
  pki.issue(user.name);
  return {
    identity: { certificate: pki.path(`${user.name}.crt`), key: pki.path(`${user.name}.key`) },
    options: { auth: ['certificate'], 'ca-cert': pki.path('ca.crt'), 'cert-user-oid': USER_OID },
  };
}
