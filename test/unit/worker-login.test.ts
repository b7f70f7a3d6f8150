/** Logins against a worker with real TLS. */
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodeCookie } from '../../src/core/wire/cookies.js';
import { TlsClient } from '../support/tls-client.js';
import {
  type HarnessOptions,
  type Identity,
  makeIdentity,
  WorkerHarness,
} from '../support/worker-harness.js';

const SID = encodeCookie(new Uint8Array(32).fill(0xab));
const AGENT = 'Open AnyConnect VPN Agent v9.01-3';
const logins = { alice: { password: 'secret' }, carol: { password: 'one', secondFactor: 'two' } };

let identity: Identity;
let harness: WorkerHarness;

beforeAll(() => {
  identity = makeIdentity('ec');
});
afterEach(() => harness?.stop());

async function start(options: Partial<HarnessOptions> = {}): Promise<WorkerHarness> {
  const many = { 'worker-clients': 8, ...options.options };
  harness = await new WorkerHarness({ identity, logins, ...options, options: many }).start();
  return harness;
}

function post(body: string, path = '/auth', agent = AGENT): string {
  return `POST ${path} HTTP/1.1\r\nHost: h\r\nUser-Agent: ${agent}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
const authReply = (fields: string) =>
  post(`<?xml version="1.0"?><config-auth type="auth-reply"><auth>${fields}</auth></config-auth>`);
const credentials = (user: string, password: string) =>
  authReply(`<username>${user}</username><password>${password}</password>`);

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('over %s', (version) => {
  it('logs in with one form and gives the cookie', async () => {
    await start();
    const client = await TlsClient.connect(harness.port, version);
    client.send(post('<?xml version="1.0"?><config-auth type="init"></config-auth>', '/'));
    expect((await client.reply()).body).toContain('name="password"');
    client.send(credentials('alice', 'secret'));
    const { head, body } = await client.reply();
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\nConnection: Keep-Alive\r\n/);
    expect(head).toContain(`Set-Cookie: webvpn=${SID}; Secure; HttpOnly\r\n`);
    expect(head).toMatch(/&sh:[0-9A-F]{40}; path/);
    expect(body).toContain('<auth id="success">');
    client.socket.end();
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 1);
    expect(harness.received('CLIENT_CLOSED')[0]).toMatchObject({ reason: 'unspecified' });
    expect(harness.log).toEqual([]);
  });
});

describe('login', () => {
  it('works with an RSA key', async () => {
    await start({ identity: makeIdentity('rsa') });
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = await TlsClient.connect(harness.port, version);
      client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
      expect((await client.reply()).head).toMatch(/^HTTP\/1\.1 200 /);
      client.socket.destroy();
    }
  });

  it('asks for the password in a round of its own when only the name came', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    client.send(authReply('<username>alice</username>'));
    const { head, body } = await client.reply();
    expect(head).toContain(`Set-Cookie: webvpncontext=${SID}; Max-Age=300; Secure; HttpOnly`);
    expect(body).toContain('<message>Please enter your password.</message>');
    expect(body).not.toContain('name="username"');
    client.send(authReply('<password>secret</password>'));
    expect((await client.reply()).body).toContain('id="success"');
  });

  it('asks for a second factor', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    client.send(credentials('carol', 'one'));
    const { body } = await client.reply();
    expect(body).toContain('<message>Enter the code.</message>');
    expect(body).toContain('name="secondary_password"');
    client.send(authReply('<secondary_password>two</secondary_password>'));
    expect((await client.reply()).body).toContain('id="success"');
  });

  it('retries a wrong password and ends with 401 and an alert', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    for (const expected of [200, 200]) {
      client.send(credentials('alice', 'wrong'));
      const { head, body } = await client.reply();
      expect(head).toContain(` ${expected} `);
      expect(body).toContain('<message>Login failed.\nPlease enter your password.</message>');
    }
    client.send(authReply('<password>wrong</password>'));
    expect((await client.reply()).head).toBe(
      'HTTP/1.1 401 Authentication failed\r\nContent-Length: 0\r\n\r\n',
    );
    const { rest } = await client.end();
    expect(rest).toBe('');
    expect(await harness.failure()).toContain('login refused');
  });

  it('logs in with the right password after a wrong one', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    client.send(credentials('alice', 'wrong'));
    await client.reply();
    client.send(authReply('<password>secret</password>'));
    expect((await client.reply()).body).toContain('id="success"');
  });

  it('takes old forms and passes an unknown group on', async () => {
    await start({ options: { 'select-group': ['tech[Technical people]'] } });
    const client = await TlsClient.connect(harness.port);
    client.send(post('group%5flist=nobodys&username=alice&password=secret'));
    expect((await client.reply()).body).toContain('id="success"');
    expect(harness.received('SEC_AUTH_INIT')[0]).toMatchObject({
      userName: 'alice',
      groupName: 'nobodys',
      userAgent: AGENT,
    });
  });

  it('translates a friendly group name and selects it in the form', async () => {
    await start({ options: { 'select-group': ['a', 'tech[Technical people]'] } });
    const client = await TlsClient.connect(harness.port);
    client.send(
      post('<?xml?><config-auth type="init"><group-select>Technical people</group-select></config-auth>'),
    );
    const { body } = await client.reply();
    expect(body.indexOf('value="tech"')).toBeLessThan(body.indexOf('value="a"'));
    client.send(credentials('alice', 'secret'));
    await client.reply();
    expect(harness.received('SEC_AUTH_INIT')[0]).toMatchObject({ groupName: 'tech' });
  });

  it('answers openconnect up to version 3 without config-auth', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    client.send(post('username=alice&password=secret', '/auth', 'Open AnyConnect VPN Agent v3.20'));
    const { body } = await client.reply();
    expect(body).toContain('<auth id="success">');
    expect(body).not.toContain('config-auth');
  });

  it('refuses a second user on the same connection', async () => {
    await start();
    const client = await TlsClient.connect(harness.port);
    client.send(credentials('alice', 'wrong'));
    await client.reply();
    client.send(credentials('carol', 'one'));
    expect((await client.reply()).head).toMatch(/^HTTP\/1\.1 401 /);
    await client.end();
  });

  it('ends the TLS handshake when secmod does not sign', async () => {
    await start({ refuseToSign: true });
    await expect(TlsClient.connect(harness.port)).rejects.toThrow();
    expect(await harness.failure()).toContain('secmod refused to sign');
  });

  it('gives a login up at secmod when its client leaves, and only one that is open', async () => {
    await start();
    const done = await TlsClient.connect(harness.port);
    done.send(credentials('alice', 'secret'));
    await done.reply();
    done.socket.destroy();
    const open = await TlsClient.connect(harness.port);
    open.send(credentials('carol', 'one'));
    await open.reply();
    open.socket.destroy();
    await harness.until(() => harness.received('CLIENT_CLOSED').length === 2);
    await harness.until(() => harness.received('SEC_AUTH_END').length > 0);
    expect(harness.received('SEC_AUTH_END')).toEqual([{ client: 2 }]);
  });

  it('sees a client leave while the back end works', async () => {
    await start({ logins: { alice: { password: 'secret', neverAnswers: true } } });
    const client = await TlsClient.connect(harness.port);
    client.send(credentials('alice', 'secret'));
    await harness.until(() => harness.received('SEC_AUTH_CONT').length === 1);
    client.socket.destroy();
    await harness.until(() => harness.received('SEC_AUTH_END').length === 1);
  });

  it('ends a login that takes longer than auth-timeout', async () => {
    await start({ options: { 'auth-timeout': 1 } });
    const client = await TlsClient.connect(harness.port);
    await client.end();
    expect(await harness.failure()).toContain('no login and tunnel within 1 s');
  });
});
