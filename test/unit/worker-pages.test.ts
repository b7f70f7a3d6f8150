/** Pages around the login, against a worker with real TLS: camouflage, group URLs, profile, IP phones, own headers. */
import { createHash } from 'node:crypto';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { encodeCookie } from '../../src/core/wire/cookies.js';
import { TlsClient } from '../support/tls-client.js';
import {
  GOOD_COOKIE_BYTE,
  type HarnessOptions,
  type Identity,
  makeIdentity,
  WorkerHarness,
} from '../support/worker-harness.js';

const GOOD = encodeCookie(new Uint8Array(32).fill(GOOD_COOKIE_BYTE));
const BAD = encodeCookie(new Uint8Array(32).fill(1));
const logins = { alice: { password: 'secret' }, carol: { password: 'one', secondFactor: 'two' } };

let identity: Identity;
let harness: WorkerHarness;

beforeAll(() => {
  identity = makeIdentity('ec');
});
afterEach(() => harness?.stop());

async function start(options: Record<string, unknown>, rest: Partial<HarnessOptions> = {}): Promise<void> {
  const all = { 'worker-clients': 8, ...options };
  harness = await new WorkerHarness({ identity, logins, ...rest, options: all }).start();
}

const connect = () => TlsClient.connect(harness.port);

/** One request; the reply's head and body. */
async function ask(client: TlsClient, line: string, headers: readonly string[] = [], body = '') {
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  client.send(`${[`${line} HTTP/1.1`, 'Host: h', ...headers, ...length].join('\r\n')}\r\n\r\n${body}`);
  return await client.reply();
}

/** The same on a connection of its own. */
const askOnce = async (line: string, headers: readonly string[] = [], body = '') =>
  ask(await connect(), line, headers, body);

const credentials = (user: string, password: string) =>
  `<?xml version="1.0"?><auth><username>${user}</username><password>${password}</password></auth>`;

describe('camouflage', () => {
  const hidden = { camouflage: true, camouflage_secret: 'open-sesame' };

  it.each([
    'GET /',
    'GET /?',
    'GET /?open-sesam',
    'GET /?open-sesamee',
    'POST /auth',
    'GET /logout',
    'GET /profiles/x',
  ])('%s is a page that does not exist', async (line) => {
    await start(hidden);
    const { head, body } = await askOnce(line);
    expect(head).toMatch(/^HTTP\/1\.1 404 Not Found\r\nContent-Type: text\/html\r\nContent-Length: 50\r\n/);
    expect(body).not.toMatch(/vpn|auth /i);
  });

  it.each([
    ['GET /nothing', false],
    ['GET /', false],
    ['GET /?open-sesam', false],
    ['POST /auth', false],
    ['GET /nothing', true],
    ['CONNECT host:443', false],
    ['CONNECT /CSCOSSLC/tunnel', false],
    ['CONNECT /CSCOSSLC/tunnel', true],
  ])('%s is refused after one question to secmod, with or without a cookie', async (line, cookie) => {
    await start(hidden);
    await askOnce(line, cookie ? [`Cookie: webvpn=${BAD}`] : []);
    expect(harness.received('SEC_CHECK_COOKIE')).toHaveLength(1);
    expect(harness.received('AUTH_COOKIE_REQ')).toEqual([]);
    expect(harness.received('SEC_AUTH_INIT')).toEqual([]);
  });

  it('asks strangers for a password where there is a realm', async () => {
    await start({ ...hidden, camouflage_realm: 'My "Home"' });
    const { head, body } = await askOnce('GET /');
    expect(head).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="My \\"Home\\""\r\n/);
    expect(head).toContain('Connection: close');
    expect(body).not.toMatch(/vpn|auth /i);
  });

  it('is over for a connection that has shown the secret', async () => {
    await start(hidden);
    const client = await connect();
    expect((await ask(client, 'POST /?open-sesame', [], '<?xml version="1.0"?>')).body).toContain('username');
    expect((await ask(client, 'POST /auth', [], credentials('alice', 'secret'))).body).toContain(
      'id="success"',
    );
    expect((await ask(client, 'GET /logout')).head).toMatch(/^HTTP\/1\.1 200 /);
    expect((await askOnce('GET /')).head).toMatch(/^HTTP\/1\.1 404 /);
  });

  it('is no obstacle for those who have a session', async () => {
    await start(hidden);
    expect((await askOnce('GET /logout', [`Cookie: webvpn=${GOOD}`])).head).toMatch(/^HTTP\/1\.1 200 /);
    expect((await askOnce('GET /logout', [`Cookie: webvpn=${BAD}`])).head).toMatch(/^HTTP\/1\.1 404 /);
  });

  it('answers CONNECT like a web server, unless the secret was shown or the cookie is good', async () => {
    await start(hidden);
    const line = 'CONNECT /CSCOSSLC/tunnel';
    expect((await askOnce(line, [`Cookie: webvpn=${GOOD}`])).head).toMatch(/^HTTP\/1\.1 200 CONNECTED\r\n/);
    harness.cookieReply = 'FAILED';
    expect((await askOnce(line, [`Cookie: webvpn=${BAD}`])).head).toMatch(
      /^HTTP\/1\.1 405 Method Not Allowed\r\n/,
    );
    expect((await askOnce(line)).head).toMatch(/^HTTP\/1\.1 405 /);
    const client = await connect();
    await ask(client, 'GET /?open-sesame');
    expect((await ask(client, line, [`Cookie: webvpn=${BAD}`])).head).toMatch(
      /^HTTP\/1\.1 401 Cookie is not/,
    );
  });

  it('off: a query changes nothing', async () => {
    await start({});
    expect((await askOnce('GET /?anything')).head).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe('select-group-by-url', () => {
  const groups = { 'select-group': ['staff', 'tech[Technical people]'], 'default-select-group': 'none' };
  const init = '<?xml version="1.0"?><config-auth type="init"></config-auth>';

  it.each(['select-group-by-url', 'cisco-client-compat'])('%s: the URL selects the group', async (option) => {
    await start({ ...groups, [option]: true });
    for (const path of ['/tech', '/tech/?x', '/Technical%20people']) {
      const client = await connect();
      const { body } = await ask(client, `POST ${path}`, [], init);
      expect(body).toContain('<option value="tech">Technical people</option>');
      expect(body).not.toContain('staff');
      const form = credentials('alice', 'secret').replace(
        '</auth>',
        '<group-select>staff</group-select></auth>',
      );
      await ask(client, 'POST /auth', [], form);
      expect(harness.received('SEC_AUTH_INIT').at(-1)).toMatchObject({ groupName: 'tech' });
    }
  });

  it('an unknown group or a broken escape selects nothing', async () => {
    await start({ ...groups, 'select-group-by-url': true });
    for (const path of ['/other', '/%zz']) {
      const { body } = await askOnce(`POST ${path}`, [], init);
      expect(body).toContain('staff');
      expect(body).not.toContain('other');
    }
  });

  it('off: the URL selects nothing', async () => {
    await start(groups);
    const client = await connect();
    expect((await ask(client, 'POST /tech', [], init)).body).toContain('staff');
    await ask(client, 'POST /auth', [], credentials('alice', 'secret'));
    expect(harness.received('SEC_AUTH_INIT').at(-1)).toMatchObject({ groupName: '' });
  });
});

describe('groups and profile of secmod', () => {
  it('offers the groups of the back end beside the configured ones', async () => {
    await start({ 'select-group': ['tech[Technical people]'] }, { groups: ['staff', 'tech'] });
    const { body } = await askOnce('GET /');
    expect(body.match(/<option value="\w+">[^<]+/g)).toEqual([
      '<option value="tech">Technical people',
      '<option value="staff">staff',
    ]);
  });

  it('sends the profile to those who have logged in, and its hash with the login', async () => {
    const content = Buffer.from('<AnyConnectProfile>ä</AnyConnectProfile>');
    await start({}, { profile: { name: 'my profile.xml', content: Uint8Array.from(content) } });
    const hash = createHash('sha1').update(content).digest('hex').toUpperCase();
    const { head, body } = await askOnce('POST /auth', [], credentials('alice', 'secret'));
    expect(head).toContain(`&fu:profiles%2Fmy%20profile.xml&fh:${hash}; path=/`);
    expect(body).toContain(`<uri>/profiles/my%20profile.xml</uri><hash type="sha1">${hash}</hash>`);
    const page = await askOnce('GET /profiles/my%20profile.xml', [`Cookie: webvpn=${GOOD}`]);
    expect(page.head).toContain('Content-Type: text/xml');
    expect(page.body).toBe(content.toString());
    for (const cookie of [[], [`Cookie: webvpn=${BAD}`], ['Cookie: webvpn=x']]) {
      expect((await askOnce('GET /profiles/my%20profile.xml', cookie)).head).toMatch(/^HTTP\/1\.1 404 /);
    }
  });

  it('without a profile there is none, and no link to one', async () => {
    await start({});
    const { head, body } = await askOnce('POST /auth', [], credentials('alice', 'secret'));
    expect(head + body).not.toMatch(/profile|&fu:/);
    expect((await askOnce('GET /profiles/x', [`Cookie: webvpn=${GOOD}`])).head).toMatch(/^HTTP\/1\.1 404 /);
  });
});

describe('IP phones', () => {
  const phone = ['User-Agent: Cisco SVC IPPhone Client v1.0'];
  const form = 'username=alice&password=secret';

  it('log in at /svc in one round', async () => {
    await start({ 'cisco-svc-client-compat': true });
    const client = await connect();
    const hello = await ask(client, 'GET /svc', phone);
    expect(hello.head).toContain('Set-Cookie: webvpnlogin=1; secure\r\n');
    const { head, body } = await ask(client, 'POST /svc', phone, form);
    expect(head).toMatch(
      new RegExp(`^HTTP/1.1 200 OK\r\nSet-Cookie: webvpn=${GOOD.replaceAll('+', '\\+')}; secure\r\n`),
    );
    expect(body).toBe('');
  });

  it.each(['username=alice&password=wrong', 'username=carol&password=one', 'password=secret'])(
    '%s: 401 and the end',
    async (text) => {
      await start({ 'cisco-svc-client-compat': true });
      const client = await connect();
      expect((await ask(client, 'POST /svc', phone, text)).head).toMatch(
        /^HTTP\/1\.1 401 Authentication failed\r\n/,
      );
      expect((await client.end()).error?.code ?? 'end').toMatch(/ACCESS_DENIED|end/);
    },
  );

  it('need the option, and be phones', async () => {
    await start({});
    expect((await askOnce('GET /svc', phone)).head).toMatch(/^HTTP\/1\.1 404 /);
    expect((await askOnce('POST /svc', phone, form)).head).toMatch(/^HTTP\/1\.1 404 /);
    harness.stop();
    await start({ 'cisco-svc-client-compat': true });
    expect((await askOnce('POST /svc', [], form)).head).toMatch(/^HTTP\/1\.1 404 /);
  });
});

describe('included-http-headers', () => {
  it('are on every 200, and on nothing else', async () => {
    await start({ 'included-http-headers': ['X-Frame-Options: deny', 'X-Two:  2 '] });
    const line = 'CONNECT /CSCOSSLC/tunnel';
    for (const head of [
      (await askOnce('GET /')).head,
      (await askOnce('GET /logout')).head,
      (await askOnce(line, [`Cookie: webvpn=${GOOD}`])).head,
    ]) {
      expect(head).toMatch(/\r\nX-Frame-Options: deny\r\nX-Two: 2\r\n/);
    }
    expect((await askOnce('GET /none')).head).not.toContain('X-Frame');
    expect((await askOnce(line)).head).not.toContain('X-Frame');
  });
});

describe('files of the server', () => {
  it.each(['/cert.pem', '/cert.cer', '/ca.pem', '/ca.cer'])('%s is not served', async (path) => {
    await start({});
    expect((await askOnce(`GET ${path}`)).head).toMatch(/^HTTP\/1\.1 404 /);
  });
});

describe('kkdcp', () => {
  /** An AS-REQ of one byte, with its length, as a KDC-PROXY-MESSAGE; all of it is ASCII but the tags. */
  const message = Buffer.from('300ba009040700000003 6a0102'.replace(' ', ''), 'hex');
  const proxy = { kkdcp: ['/KdcProxy'], 'ban-points-kkdcp': 3 };

  async function post(path: string, body: Buffer) {
    const client = await connect();
    client.send(`POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n`);
    client.send(body);
    return await client.reply();
  }

  it('a question goes to secmod, after main has counted it; the answer is in the same form', async () => {
    await start(proxy);
    harness.kdcReply = { reply: Buffer.from('OK'), reason: '' };
    const { head, body } = await post('/KdcProxy?x', message);
    expect(head).toMatch(
      /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/kerberos\r\nContent-Length: 12\r\n/,
    );
    expect(body.slice(-6)).toBe('\0\0\0\x02OK');
    expect(harness.received('BAN_IP')).toEqual([expect.objectContaining({ score: 3 })]);
    expect(harness.received('SEC_KDC_REQUEST')).toEqual([
      { vhost: 'default', path: '/KdcProxy', realm: '', message: new Uint8Array([0x6a, 1, 2]) },
    ]);
  });

  it.each([
    ['the KDC does not answer', message, true, /^HTTP\/1\.1 502 no KDC\r\n/],
    ['it is no question', Buffer.from('x'), true, /^HTTP\/1\.1 502 Not a Kerberos request\r\n/],
    ['the address is banned by now', message, false, /^HTTP\/1\.1 502 Too many requests\r\n/],
  ])('502 when %s', async (_, body, allowed, expected) => {
    await start(proxy);
    harness.banAllowed = allowed;
    expect((await post('/KdcProxy', body)).head).toMatch(expected);
    expect(harness.received('SEC_KDC_REQUEST')).toHaveLength(body === message && allowed ? 1 : 0);
  });

  it('other paths start a login, and camouflage hides the proxy, too', async () => {
    await start({ ...proxy, camouflage: true, camouflage_secret: 'open-sesame' });
    expect((await post('/KdcProxy', message)).head).toMatch(/^HTTP\/1\.1 404 /);
    harness.stop();
    await start(proxy);
    expect((await post('/KdcProxyX', message)).body).toContain('username');
    expect(harness.received('SEC_KDC_REQUEST')).toEqual([]);
  });
});
