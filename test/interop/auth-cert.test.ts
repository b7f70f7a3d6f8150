/** Client certificates through the whole server, with the stock client. */
import { expect, test } from 'vitest';
import { ClientPki } from '../support/client-pki.ts';
import { type Lab, openLab } from '../support/lab.ts';
import { authenticate, connect } from '../support/openconnect.ts';
import { type ServerOptions, startServer, type VpnServer } from '../support/server.ts';

interface Started {
  readonly lab: Lab;
  readonly pki: ClientPki;
  readonly server: VpnServer;
  /** Exit status of openconnect with the certificate of this name. */
  readonly logIn: (name: string, more?: readonly string[]) => Promise<number>;
}

async function start(
  options: ServerOptions = {},
  auth: readonly string[] = ['certificate'],
): Promise<Started> {
  const lab = await openLab();
  const pki = new ClientPki(lab.folder);
  const trust = { 'ca-cert': pki.path('ca.crt'), 'cert-user-oid': '0.9.2342.19200300.100.1.1' };
  const server = await startServer(lab, 'ocvpn', { options: { auth, ...trust, ...options } });
  const logIn = async (name: string, more: readonly string[] = []) =>
    (await authenticate(lab, server, { args: [...pki.args(name), ...more] })).code;
  return { lab, pki, server, logIn };
}

test.each(['rsa', 'ec', 'ed25519'] as const)('a good certificate alone: %s, TLS 1.3 and 1.2', async (key) => {
  const { lab, pki, server, logIn } = await start();
  pki.issue('cora', { key });
  await connect(lab, server, { args: pki.args('cora') });
  expect(await server.users()).toEqual([expect.objectContaining({ name: 'cora' })]);
  expect(await logIn('cora', ['--gnutls-priority=NORMAL:-VERS-ALL:+VERS-TLS1.2'])).toBe(0);
});
