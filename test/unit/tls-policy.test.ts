/** tls-priorities as TLS contexts see it, with the real addon. */
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Identity, makeIdentity, WorkerHarness } from '../support/worker-harness.js';

let identity: Identity;
let harness: WorkerHarness;

beforeAll(() => {
  identity = makeIdentity('rsa');
});
afterEach(() => harness?.stop());

/** Version and cipher of a connection, or the error of a failed handshake. */
async function handshake(client: object): Promise<string> {
  const socket = await new Promise<TLSSocket | string>((resolve) => {
    const made = connect({ host: '127.0.0.1', port: harness.port, rejectUnauthorized: false, ...client });
    made.once('secureConnect', () => resolve(made));
    made.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  if (typeof socket === 'string') return socket;
  const { name } = socket.getCipher();
  const text = `${socket.getProtocol()} ${name}`;
  socket.destroy();
  return text;
}

async function start(options: Record<string, unknown>): Promise<void> {
  harness = await new WorkerHarness({ identity, options: { 'worker-clients': 8, ...options } }).start();
}

const REFUSED = /^ERR_SSL|ECONNRESET/;

describe('tls-priorities', () => {
  it.each([
    ['NORMAL:-VERS-TLS1.3', {}, /^TLSv1.2 /],
    ['NORMAL:-VERS-TLS1.3', { minVersion: 'TLSv1.3' }, REFUSED],
    ['NORMAL:-VERS-TLS1.2', { maxVersion: 'TLSv1.2' }, REFUSED],
    ['NORMAL:-CIPHER-ALL:+AES-128-GCM', {}, /^TLSv1.3 TLS_AES_128_GCM_SHA256$/],
    ['NORMAL:-CIPHER-ALL:+AES-128-GCM', { maxVersion: 'TLSv1.2' }, /^TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256$/],
    ['NORMAL:-CIPHER-ALL:+AES-256-GCM', { ciphers: 'TLS_AES_128_GCM_SHA256' }, REFUSED],
    ['NORMAL', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-SHA' }, /ECDHE-RSA-AES128-SHA$/],
    ['SECURE192:%SERVER_PRECEDENCE', {}, /^TLSv1.3 TLS_AES_256_GCM_SHA384$/],
    ['PERFORMANCE', {}, /^TLSv1.3 /],
    ['SECURE128:+SECURE192', {}, /^TLSv1.3 /],
  ])('%s with a client of %o', async (priority, client, expected) => {
    await start({ 'tls-priorities': priority });
    expect(await handshake(client)).toMatch(expected);
  });

  it.each([
    ['NORMAL:%SERVER_PRECEDENCE', 'TLS_AES_256_GCM_SHA384'],
    ['NORMAL', 'TLS_AES_128_GCM_SHA256'],
  ])('%s: whose order decides', async (priority, cipher) => {
    await start({ 'tls-priorities': priority });
    const ciphers = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384';
    expect(await handshake({ ciphers })).toBe(`TLSv1.3 ${cipher}`);
  });
});

describe('clients of Cisco', () => {
  it('cisco-client-compat: no TLS 1.3, unless tls-priorities says so', async () => {
    await start({ 'cisco-client-compat': true });
    expect(await handshake({})).toMatch(/^TLSv1.2 /);
    harness.stop();
    await start({ 'cisco-client-compat': true, 'tls-priorities': 'NORMAL' });
    expect(await handshake({})).toMatch(/^TLSv1.3 /);
  });

  it('cisco-svc-client-compat: the CBC suites of IP phones', async () => {
    const phone = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES256-SHA' };
    await start({});
    expect(await handshake(phone)).toMatch(REFUSED);
    harness.stop();
    await start({ 'cisco-svc-client-compat': true });
    expect(await handshake(phone)).toMatch(/ECDHE-RSA-AES256-SHA$/);
  });
});
