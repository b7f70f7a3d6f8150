/** RADIUS over TLS (RFC 6614): Debian's FreeRADIUS, and the stock client before it. */
import { expect, test } from 'vitest';
import { ClientPki } from '../support/client-pki.ts';
import { startRadius, writeRadcli } from '../support/freeradius.ts';
import { inside, openLab } from '../support/lab.ts';
import { authenticate, connect, fetchCookie } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { until } from '../support/wait.ts';

const users = 'alice Cleartext-Password := "secret"';

test('logins and accounting over TLS, each side with a certificate of the authority', async () => {
  const lab = await openLab();
  const pki = new ClientPki(lab.folder);
  pki.issue('radius', { purpose: 'serverAuth', names: `IP:${inside.host4}` });
  pki.issue('nas');
  const tls = { ca: pki.path('ca.crt'), certificate: pki.path('radius.crt'), key: pki.path('radius.key') };
  let radius = await startRadius(lab, { users, tls });
  const files = (name: string) =>
    [
      'serv-type tls',
      `tls-ca-file ${tls.ca}`,
      `tls-cert-file ${pki.path(`${name}.crt`)}`,
      `tls-key-file ${pki.path(`${name}.key`)}`,
    ].join('\n');
  const config = writeRadcli(lab, { servers: [`${inside.host4}:2083`], lines: files('nas') });
  const acct = `radius[config=${config}]`;
  const server = await startServer(lab, 'ocvpn', { options: { auth: [`radius[config=${config}]`], acct } });
  const client = await connect(lab, server);
  await until('the Start', () => radius.accounting().length === 1);
  expect(radius.process.output).toMatch(/Received Access-Request Id \d+ from \S+ to \S+:2083/);
  expect((await authenticate(lab, server, { password: 'wrong' })).code).not.toBe(0);

  // A new server has not the old connections.
  await radius.process.stop('SIGKILL');
  radius = await startRadius(lab, { users, tls });
  expect(await fetchCookie(lab, server)).not.toBe('');
  await client.end('SIGINT');
  await until('the Stop', () => radius.accounting().at(-1)?.['Acct-Status-Type'] === 'Stop');

  // One that cannot show whose it is learns no password.
  await radius.process.stop('SIGKILL');
  pki.authority('stranger');
  pki.issue('impostor', { purpose: 'serverAuth', names: `IP:${inside.host4}`, by: 'stranger' });
  const impostor = { ca: tls.ca, certificate: pki.path('impostor.crt'), key: pki.path('impostor.key') };
  radius = await startRadius(lab, { users, tls: impostor });
  expect((await authenticate(lab, server)).code).not.toBe(0);
  expect(radius.process.output).not.toContain('Received Access-Request');
  expect(server.process.output).toMatch(/no RADIUS server answered: [^"]*certificate/);
});
