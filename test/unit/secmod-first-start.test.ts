/** What the embedded default makes at its first start, and keeps or renews later. */

import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { embeddedPaths } from '../../src/core/config/embedded.js';
import { ensureEmbeddedPki } from '../../src/core/pki/embedded-pki.js';
import { certificatePin } from '../../src/core/pki/pin.js';
import { ensureFirstUser } from '../../src/core/users/first-user.js';
import { list, lock, setPassword } from '../../src/core/users/passwd.js';
import { crypt } from '../../src/plugins/auth-plain/src/crypt.js';

const DAY_MS = 86_400_000;
const NAMES = { dns: ['vpn.example', 'localhost'], ip: ['127.0.0.1', '::1', '192.0.2.7', '2001:db8::7'] };

let root: string;
let dataDir: string;
let paths: ReturnType<typeof embeddedPaths>;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ocvpn-first-'));
  dataDir = join(root, 'data');
  paths = embeddedPaths(dataDir);
});
afterEach(() => rmSync(root, { recursive: true }));

const cert = (path: string) => new X509Certificate(readFileSync(path));
const days = (certificate: X509Certificate) => (certificate.validToDate.getTime() - Date.now()) / DAY_MS;
const ensure = (nowMs = Date.now(), names = NAMES) => ensureEmbeddedPki(dataDir, { nowMs, names });
const short = (files: string[]) => files.map((file) => file.slice(paths.pki.length + 1));

describe('certificates', () => {
  test('a CA for ten years and a server certificate for 825 days, with all names, for root alone', async () => {
    expect(short(await ensure())).toEqual(['ca.key', 'ca.crt', 'server.key', 'server.crt']);
    const [ca, server] = [cert(paths.caCert), cert(paths.serverCert)];
    expect(ca.ca).toBe(true);
    expect(server.ca).toBe(false);
    expect(server.checkIssued(ca) && server.verify(ca.publicKey)).toBe(true);
    expect(Math.round(days(ca))).toBe(3652);
    expect(Math.round(days(server))).toBe(825);
    for (const name of NAMES.dns) expect(server.checkHost(name)).toBe(name);
    for (const ip of NAMES.ip) expect(server.checkIP(ip)).toBe(ip);
    expect(statSync(paths.pki).mode & 0o777).toBe(0o700);
    for (const file of readdirSync(paths.pki))
      expect(statSync(join(paths.pki, file)).mode & 0o777).toBe(0o600);
    execFileSync('openssl', [
      'verify',
      '-x509_strict',
      '-purpose',
      'sslserver',
      '-CAfile',
      paths.caCert,
      paths.serverCert,
    ]);
  });

  test('the pin is that which openssl computes', async () => {
    await ensure();
    const script = `openssl x509 -in ${paths.serverCert} -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64`;
    const expected = execFileSync('sh', ['-c', script]).toString().trim();
    expect(certificatePin(readFileSync(paths.serverCert))).toBe(`pin-sha256:${expected}`);
  });

  test('a second start writes nothing', async () => {
    await ensure();
    expect(await ensure()).toEqual([]);
  });

  test('near its end, or without a name, the certificate is renewed on the same key: the pin stays', async () => {
    await ensure();
    const pin = certificatePin(readFileSync(paths.serverCert));
    expect(await ensure(Date.now() + 794 * DAY_MS)).toEqual([]);
    expect(short(await ensure(Date.now() + 796 * DAY_MS))).toEqual(['server.crt']);
    expect(short(await ensure(Date.now(), { ...NAMES, dns: ['new.example'] }))).toEqual(['server.crt']);
    expect(certificatePin(readFileSync(paths.serverCert))).toBe(pin);
  });

  test('a CA near its end is renewed with what it issued; keys stay', async () => {
    await ensure();
    const pin = certificatePin(readFileSync(paths.caCert));
    expect(short(await ensure(Date.now() + 3640 * DAY_MS))).toEqual(['ca.crt', 'server.crt']);
    expect(certificatePin(readFileSync(paths.caCert))).toBe(pin);
    expect(cert(paths.serverCert).verify(cert(paths.caCert).publicKey)).toBe(true);
  });

  test('a missing key is made again; a broken certificate is an error and stays as it is', async () => {
    await ensure();
    rmSync(paths.serverKey);
    expect(short(await ensure())).toEqual(['server.key', 'server.crt']);
    writeFileSync(paths.serverCert, 'not a certificate');
    await expect(ensure()).rejects.toMatchObject({ code: 'OCS_FILE' });
    expect(readFileSync(paths.serverCert, 'utf8')).toBe('not a certificate');
  });
});

describe('the first user', () => {
  test('is made once, with a password that works and is told again at later starts', async () => {
    const first = await ensureFirstUser(dataDir);
    expect(first).toMatchObject({ userName: 'user', created: true });
    expect(first.password).toMatch(/^([a-km-np-z2-9]{4}-){3}[a-km-np-z2-9]{4}$/);
    const stored = readFileSync(paths.ocpasswd, 'utf8').trim().split(':')[2] ?? '';
    expect(await crypt(Buffer.from(first.password ?? ''), stored)).toBe(stored);
    expect(await ensureFirstUser(dataDir)).toEqual({ ...first, created: false });
    for (const file of [paths.ocpasswd, paths.firstUser]) expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('made by two processes at once is one user with one password', async () => {
    const both = await Promise.all([ensureFirstUser(dataDir), ensureFirstUser(dataDir)]);
    expect(both[0].password).not.toBeNull();
    expect(both[0].password).toBe(both[1].password);
    expect(both.filter(({ created }) => created)).toHaveLength(1);
    expect(list(paths.ocpasswd)).toHaveLength(1);
  });

  test('has no known password once somebody changed it or locked the user', async () => {
    await ensureFirstUser(dataDir);
    await lock(paths.ocpasswd, 'user');
    expect(await ensureFirstUser(dataDir)).toMatchObject({ password: null });
    await setPassword(paths.ocpasswd, 'user', 'my own');
    expect(await ensureFirstUser(dataDir)).toEqual({ userName: 'user', password: null, created: false });
  });

  test('is not made beside users that exist', async () => {
    await ensureFirstUser(dataDir);
    rmSync(paths.firstUser);
    writeFileSync(paths.ocpasswd, '');
    expect(await ensureFirstUser(dataDir)).toMatchObject({ password: null, created: false });
    expect(readFileSync(paths.ocpasswd, 'utf8')).toBe('');
    expect(existsSync(paths.firstUser)).toBe(false);
  });
});
