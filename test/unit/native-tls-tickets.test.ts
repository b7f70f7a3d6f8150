// Session tickets: who resumes, with which keys, and where a ticket is worth nothing.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ConnectionOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TlsContextOptions, TlsInfo, TlsServerContext } from '../../src/core/native/tls-types.js';
import { client, leave, serving } from './native-tls.clients.js';
import { contextOptions, echo, native, RemoteSigner, TestPki } from './native-tls.support.js';

const names = ['rsa', 'ec', 'other'] as const;
const OLD = randomBytes(80);
const NEW = randomBytes(80);
const LIFETIME_SEC = 300;
let pki: TestPki;
let signer: RemoteSigner;

beforeAll(() => {
  pki = new TestPki();
  pki.issue('rsa', 'rsa');
  pki.issue('ec', 'ec');
  pki.issue('other', 'ec', { dns: 'other.example' });
  signer = new RemoteSigner(names.map((name) => pki.path(`${name}.key`)));
});

afterAll(async () => {
  await signer.close();
  pki.remove();
});

const context = (keys: Uint8Array, more: Partial<TlsContextOptions> = {}): TlsServerContext => {
  const made = native.createTlsContext(contextOptions([pki.read('rsa.crt'), pki.read('ec.crt')], more));
  made.setTicketKeys(keys, LIFETIME_SEC);
  return made;
};

/** A whole connection; what the server knows of it, its signatures, and the ticket that the client got. */
async function visit(
  served: TlsServerContext,
  options: ConnectionOptions = {},
): Promise<{ info: TlsInfo; signs: number; ticket: Buffer | null }> {
  return await serving(served, echo(signer), async (server) => {
    const socket = await client(pki, server.port, options);
    let ticket: Buffer | null = null;
    socket.on('session', (session: Buffer) => {
      ticket = session;
    });
    // The ticket comes before the echo.
    socket.write('marco polo');
    await once(socket, 'data');
    await leave(socket);
    const [accepted] = server.accepted;
    if (!accepted) throw new Error('no connection was accepted');
    return { info: await accepted.secure(), signs: accepted.signs.length, ticket };
  });
}

const ticketOf = async (served: TlsServerContext, options: ConnectionOptions = {}): Promise<Buffer> => {
  const { ticket } = await visit(served, options);
  if (ticket === null) throw new Error('the server gave no ticket');
  return ticket;
};

describe('a ticket', () => {
  test('resumes at another process with the same key, without a signature but with fresh keys', async () => {
    const session = await ticketOf(context(NEW));
    const { info, signs } = await visit(context(NEW), { session });
    expect(info).toMatchObject({ resumed: true, version: 'TLSv1.3', group: 'X25519MLKEM768' });
    expect(signs).toBe(0);
  });

  test('remembers which certificate was shown', async () => {
    const rsa = { sigalgs: 'rsa_pss_rsae_sha256' };
    const first = await visit(context(NEW), rsa);
    const ec = await visit(context(NEW), { sigalgs: 'ecdsa_secp256r1_sha256' });
    expect([first.info.keyIndex, ec.info.keyIndex]).toEqual([0, 1]);
    const again = await visit(context(NEW), { session: ec.ticket ?? Buffer.alloc(0) });
    expect(again.info).toMatchObject({ resumed: true, keyIndex: 1 });
    const third = await visit(context(NEW), { session: again.ticket ?? Buffer.alloc(0) });
    expect(third.info).toMatchObject({ resumed: true, keyIndex: 1 });
  });

  test('of the key before is opened still, and replaced', async () => {
    const session = await ticketOf(context(OLD));
    const rotated = Buffer.concat([NEW, OLD]);
    const { info, ticket } = await visit(context(rotated), { session });
    expect(info.resumed).toBe(true);
    const next = await visit(context(NEW), { session: ticket ?? Buffer.alloc(0) });
    expect(next.info.resumed).toBe(true);
  });

  test.each([
    ['of a key that is gone', () => context(NEW)],
    ['where there are no keys', () => context(new Uint8Array())],
    [
      'where clients are asked for certificates',
      () => context(OLD, { clientCertificate: 'request', ca: pki.read('ca.crt') }),
    ],
  ])('%s is worth nothing', async (_what, at) => {
    const session = await ticketOf(context(OLD));
    const { info, signs } = await visit(at(), { session });
    expect(info.resumed).toBe(false);
    expect(signs).toBe(1);
  });

  test('with any byte changed is worth nothing', async () => {
    const session = await ticketOf(context(OLD));
    const sealed = session.indexOf(OLD.subarray(0, 16));
    expect(sealed).toBeGreaterThan(0);
    for (const at of [0, 16, 40, 100]) {
      const forged = Buffer.from(session);
      forged.writeUInt8(forged.readUInt8(sealed + at) ^ 1, sealed + at);
      expect((await visit(context(OLD), { session: forged })).info.resumed).toBe(false);
    }
  });

  test('of one virtual host is none for another', async () => {
    const withVhost = (more: Partial<TlsContextOptions> = {}) => {
      const served = context(OLD);
      const other = native.createTlsContext({
        ...contextOptions([pki.read('rsa.crt'), pki.read('ec.crt')]),
        ...more,
      });
      served.addServerName('other.example', other, 'other');
      return served;
    };
    const other = { servername: 'other.example', checkServerIdentity: () => undefined };
    const session = await ticketOf(withVhost());
    expect((await visit(withVhost(), { ...other, session })).info).toMatchObject({
      resumed: false,
      vhost: 'other',
    });
    const theirs = await ticketOf(withVhost(), other);
    expect((await visit(withVhost(), { ...other, session: theirs })).info.resumed).toBe(true);
    const asking = withVhost({ clientCertificate: 'request', ca: pki.read('ca.crt') });
    expect((await visit(asking, { ...other, session: theirs })).info.resumed).toBe(false);
  });
});

test('TLS 1.2 gets no ticket: its sessions have no fresh keys', async () => {
  const { ticket, info } = await visit(context(NEW), { maxVersion: 'TLSv1.2' });
  expect(info.version).toBe('TLSv1.2');
  const session = ticket ?? Buffer.alloc(0);
  const again = await visit(context(NEW), { maxVersion: 'TLSv1.2', ...(ticket && { session }) });
  expect(again.info.resumed).toBe(false);
});

test.each([1, 79, 81, 240])('%i bytes are no keys', (length) => {
  expect(() => context(new Uint8Array(length))).toThrow('ticket keys');
});
