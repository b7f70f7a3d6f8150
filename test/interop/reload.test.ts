/** Reload by signal and by `vpn ctl`: what changes, what stays, and that tunnels do not notice. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { setClock, withClock } from '../support/clock.ts';
import { inside, type Lab, openLab, outside } from '../support/lab.ts';
import { authenticate, connect } from '../support/openconnect.ts';
import { writeCertificate } from '../support/pki.ts';
import { startServer } from '../support/server.ts';
import { ping, reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');
const handshakePeer = join(import.meta.dirname, '../support/handshake-peer.ts');
const ctl = (lab: Lab, ...words: string[]) =>
  lab.server.run([process.execPath, launcher, 'ctl', ...words, '--run-dir', `${lab.folder}/run`]);

/** More than what is under way at once: these are new ones. */
const LANES = 4;
const RELOADS = 4;

/** Rewrites the server's configuration file. */
function change(lab: Lab, values: Record<string, unknown>): void {
  const path = `${lab.folder}/vpn.config.json`;
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...values }));
}

/** What the server reads its certificate and key from. */
function filesOf(lab: Lab): { certificate: string; key: string } {
  const options = JSON.parse(readFileSync(`${lab.folder}/vpn.config.json`, 'utf8'));
  return { certificate: options['server-cert'][0], key: options['server-key'][0] };
}

/** SHA-256 fingerprint of the certificate that the server shows. */
async function shown(lab: Lab): Promise<string> {
  const command = `openssl s_client -connect ${outside.server4}:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint`;
  return lab.client().must(['sh', '-c', command]);
}

test('new values hold for new connections; tunnels go on', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', { options: { 'pre-login-banner': 'old greeting' } });
  const client = await connect(lab, server);
  change(lab, {
    'pre-login-banner': 'new greeting',
    'max-same-clients': 1,
    'tcp-port': 444,
    route: ['10.10.0.0/24'],
  });
  const reloaded = await ctl(lab, 'reload');
  expect(reloaded).toMatchObject({ code: 0 });
  expect(reloaded.stdout).toContain('tcp-port keeps its value until a restart');
  await server.process.waitFor(/keep their old values until a restart: tcp-port/);
  const login = await authenticate(lab, server, { on: 1 });
  expect(`${login.stdout}${login.stderr}`).toContain('new greeting');
  expect((await ping(client.host, inside.host4)).received).toBe(5);
  expect(await server.users()).toHaveLength(1);
});

test('a bad file keeps everything as it was and says so, by ctl and by SIGHUP', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const path = `${lab.folder}/vpn.config.json`;
  const good = readFileSync(path);
  change(lab, { 'max-cliens': 5, dpd: 'soon' });
  const refused = await ctl(lab, 'reload');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/max-cliens[\s\S]*dpd|dpd[\s\S]*max-cliens/);
  expect(refused.stderr).toContain('the old one stays in force');
  const from = server.process.output.length;
  server.process.signal('SIGHUP');
  await server.process.waitFor(/the old one stays in force/, { from });
  // Keys that do not fit are secmod's to refuse.
  writeFileSync(path, good);
  const { key } = filesOf(lab);
  const other = await writeCertificate(`${lab.folder}/run`, 'ecdsa');
  change(lab, { 'max-same-clients': 3 });
  const before = readFileSync(key);
  copyFileSync(other.key, key);
  expect((await ctl(lab, 'reload')).code).toBe(1);
  writeFileSync(key, before);
  expect((await ctl(lab, 'reload')).code).toBe(0);
  await connect(lab, server);
});

test('certificates that change on disk are shown to new connections, without a reload', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const client = await connect(lab, server);
  const before = await shown(lab);
  const { certificate, key } = filesOf(lab);
  const request = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=fresh'];
  await lab.server.must([...request, '-keyout', key, '-out', certificate]);
  await until('the new certificate', async () => {
    const now = await shown(lab);
    return now !== '' && now !== before;
  });
  expect((await ping(client.host, inside.host4)).received).toBe(5);
});

test('no handshake fails while certificates and keys are replaced again and again', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn');
  const shownFrom = filesOf(lab);
  const files = [shownFrom.certificate, shownFrom.key];
  const first = files.map((path) => readFileSync(path));
  const { certificate, key } = await writeCertificate(`${lab.folder}/run`, 'ecdsa');
  const second = [readFileSync(certificate), readFileSync(key)];
  const peer = lab.client().start('handshakes', [process.execPath, handshakePeer, outside.server4]);
  const good = (): number => Number(/good (\d+)\s*$/.exec(peer.output)?.[1] ?? 0);
  for (let round = 0; round < RELOADS; round++) {
    const from = good();
    for (const [index, content] of (round % 2 === 0 ? second : first).entries())
      writeFileSync(files[index] ?? '', content);
    expect(await ctl(lab, 'reload')).toMatchObject({ code: 0 });
    await until('handshakes after the reload', () => peer.exit !== undefined || good() > from + LANES);
  }
  expect(peer.exit, peer.output).toBeUndefined();
  expect(server.process.output).not.toContain('signature refused');
});

test('a tunnel whose key is forgotten cannot renegotiate: the stock client makes a new one, and keeps its address', async () => {
  const lab = await openLab();
  const options = { 'tls-priorities': 'NORMAL:-VERS-TLS1.3', 'rekey-method': 'ssl', 'rekey-time': 8 };
  const server = await startServer(lab, 'ocvpn', { launch: withClock, options });
  const files = filesOf(lab);
  const fresh = await writeCertificate(`${lab.folder}/run`, 'ecdsa');
  const args = ['--dump-http-traffic', `--servercert=${fresh.pin}`];
  const client = await connect(lab, server, { args });
  expect(client.process.output).toContain('X-CSTP-Rekey-Method: ssl');
  const { INTERNAL_IP4_ADDRESS: address } = await client.event('connect');
  copyFileSync(fresh.certificate, files.certificate);
  copyFileSync(fresh.key, files.key);
  expect(await ctl(lab, 'reload')).toMatchObject({ code: 0 });
  // A day is longer than any handshake lasts.
  setClock(lab, 86_400);
  await client.process.waitFor(/Rehandshake failed; attempting new-tunnel/);
  await server.process.waitFor(/signature refused/);
  expect((await client.event('reconnect')).INTERNAL_IP4_ADDRESS).toBe(address);
  await reachable(client.host, inside.host4);
  expect(await server.users()).toHaveLength(1);
  expect(client.process.exit).toBeUndefined();
});
