import { describe, expect, it } from 'vitest';
import { HttpAuth } from '../../src/core/session/http-auth.js';
import { FINAL, type Row, rows, START, step, validate } from '../../src/core/session/http-auth.machine.js';
import { type PlanInput, planTunnel } from '../../src/core/session/tunnel-plan.js';
import { clientIdentity, parseConnectRequest } from '../../src/core/wire/connect-request.js';
import { aSession, tunnelSettings } from '../support/session.js';

describe('the login table', () => {
  it('is sound', () => expect(validate()).toEqual([]));

  it.each<[string, Row[], RegExp]>([
    ['two rows for one event', [...rows, ...rows.slice(0, 1)], /two rows/],
    ['a state nobody reaches', rows.filter((row) => row.to !== 'COMPLETE'), /COMPLETE: unreachable/],
    [
      'an exit from a final state',
      [...rows, { in: 'FAILED', on: 'form', to: 'INIT', do: 'send-form', story: '' }],
      /leaves a final state/,
    ],
    [
      'a state without a timeout',
      rows.filter((row) => !(row.in === 'REQ' && row.on === 'timeout')),
      /REQ: cannot time out/,
    ],
    ['an event without a row', rows.filter((row) => row.on !== 'no-session'), /no-session: never handled/],
    ['an action without a row', rows.filter((row) => row.do !== 'drop'), /drop: never done/],
  ])('finds %s', (_, table, fault) => expect(validate(table).join('\n')).toMatch(fault));

  it('opens a tunnel only from a granted session', () => {
    const opening = rows.filter((row) => row.do === 'open-tunnel');
    expect(opening.map((row) => [row.in, row.on])).toEqual([['COOKIE', 'session']]);
    for (const state of FINAL) expect(rows.some((row) => row.in === state)).toBe(false);
    expect(step(START, 'session')).toBeNull();
  });
});

describe('HttpAuth', () => {
  const settings = {
    auth: ['plain'],
    'enable-auth': [],
    'select-group': [],
    'default-select-group': '',
    'pre-login-banner': '',
    'cookie-timeout': 300,
    'auth-timeout': 10,
    'select-group-by-url': false,
    'cisco-client-compat': false,
  };
  const identity = clientIdentity({});
  const auth = () =>
    new HttpAuth(settings, { certificateSha1: () => 'AB', profile: null, holder: null }, 1000);
  const login = (username: string | null, password: string | null) => ({
    format: 'form' as const,
    username,
    password: password === null ? null : Buffer.from(password),
    group: null,
  });
  const answer = {
    reply: 'OK' as const,
    sid: new Uint8Array(32),
    userName: '',
    message: '',
    passwdCounter: 0,
    banner: '',
  };

  it('counts auth-timeout with the injected clock', () => {
    expect(auth().remainingMs(4000)).toBe(7000);
    expect(auth().remainingMs(99_000)).toBe(0);
  });

  it('gives the password to the back end once', () => {
    const session = auth();
    session.post(login('u', 'secret'), identity);
    const first = session.authReply({ ...answer, reply: 'MSG' });
    expect(first).toMatchObject({ do: 'auth-cont', password: Buffer.from('secret') });
    expect(session.authReply({ ...answer, reply: 'MSG', message: 'Again.' })).toMatchObject({
      do: 'reply',
      failure: null,
    });
  });

  it.each([
    ['a name of 65 bytes', login('é'.repeat(33), 'x')],
    ['a password of 4097 bytes', login('u', 'x'.repeat(4097))],
  ])('refuses %s without asking secmod', (_, body) => {
    const session = auth();
    expect(session.post(body, identity)).toMatchObject({ do: 'reply', reply: { status: 401 } });
    expect(session.state).toBe('FAILED');
  });

  it('takes an empty name and password to the back end', () => {
    const session = auth();
    expect(session.post(login('', ''), identity)).toMatchObject({ do: 'auth-init', userName: '' });
    expect(session.authReply({ ...answer, reply: 'MSG' })).toMatchObject({ do: 'auth-cont' });
  });

  it('shows its own text when the back end only repeats the label', () => {
    const session = auth();
    session.post(login('u', null), identity);
    const effect = session.authReply({ ...answer, reply: 'MSG', message: 'Password: ' });
    expect(effect).toMatchObject({
      reply: { body: expect.stringContaining('<message>Please enter your password.</message>') },
    });
  });

  it('asks a repeated name for its password and takes it with the name', () => {
    const session = auth();
    session.post(login('u', null), identity);
    session.authReply({ ...answer, reply: 'MSG' });
    expect(session.post(login('u', null), identity)).toMatchObject({ do: 'reply', failure: null });
    expect(session.post(login('u', 'p'), identity)).toMatchObject({ do: 'auth-cont' });
  });

  it('answers a failure with 401 in the login and with 503 at CONNECT', () => {
    const session = auth();
    session.post(login('u', 'p'), identity);
    expect(session.failure('gone')).toMatchObject({
      reply: { status: 401, reason: 'Internal error' },
      failure: 'gone',
    });
    const connecting = auth();
    connecting.connect({ webvpn: Buffer.alloc(32), webvpncontext: null });
    expect(connecting.failure('gone')).toMatchObject({ reply: { status: 503 } });
  });

  it('fails a login whose answer has no SID', () => {
    const session = auth();
    session.post(login('u', 'p'), identity);
    expect(session.authReply({ ...answer, sid: null })).toMatchObject({ reply: { status: 401 } });
  });
});

describe('planTunnel', () => {
  const headers = {
    'x-cstp-full-ipv6-capability': 'true',
    'x-cstp-base-mtu': '1500',
    'x-dtls-ciphersuite': 'PSK-NEGOTIATE',
  };
  const base: PlanInput = {
    session: aSession(),
    request: parseConnectRequest(headers),
    identity: clientIdentity({ 'user-agent': 'Open AnyConnect VPN Agent v9' }),
    settings: tunnelSettings,
    tls: { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', secureRenegotiation: false },
    outerIpv6: false,
    tcpPathMtu: 1500,
    nowSec: 1_700_000_100,
    random: 0,
  };
  const plan = (changes: Partial<PlanInput> = {}) => {
    const result = planTunnel({ ...base, ...changes });
    if ('error' in result) throw new Error(result.error);
    return { ...result, text: result.reply.toString() };
  };

  it.each([
    ['no limit', {}, 'X-CSTP-Session-Timeout: 0\r\nX-CSTP-Session-Timeout-Remaining: 0\r\n', 0],
    [
      'a limit',
      { sessionTimeoutSec: 3600 },
      'X-CSTP-Session-Timeout: 3600\r\nX-CSTP-Session-Timeout-Remaining: 3500\r\n',
      3500,
    ],
    ['a limit that has passed', { sessionTimeoutSec: 60 }, 'X-CSTP-Session-Timeout-Remaining: 1\r\n', 1],
  ])('session timeout: %s', (_, config, text, seconds) => {
    const result = plan({ session: aSession({}, config) });
    expect(result.text).toContain(text);
    expect(result.options.sessionTimeoutSec).toBe(seconds);
  });

  it('spreads the rekey time by 30 s either way', () => {
    expect(plan({ random: 0 }).text).toContain('X-CSTP-Rekey-Time: 172770\r\nX-CSTP-Rekey-Method: ssl\r\n');
    expect(plan({ random: 0.9999 }).text).toContain('X-CSTP-Rekey-Time: 172830\r\n');
    expect(plan({ random: 0.9999 }).text).toContain('X-DTLS-Rekey-Time: 172840\r\n');
  });

  it('spreads a short rekey time by a quarter of it at most', () => {
    const timeOf = (time: number, random: number) =>
      plan({ random, settings: { ...tunnelSettings, 'rekey-time': time } }).options.rekeySec;
    expect([timeOf(40, 0), timeOf(40, 0.9999)]).toEqual([30, 50]);
    expect([timeOf(1, 0), timeOf(1, 0.9999)]).toEqual([1, 1]);
  });

  it('rekeys by a new tunnel where TLS cannot do it in place', () => {
    const tls = { version: 'TLSv1.2', cipher: '', secureRenegotiation: false };
    expect(plan({ tls }).text).toContain('X-CSTP-Rekey-Method: new-tunnel\r\n');
    expect(plan({ tls }).text).not.toContain('X-DTLS-Rekey-Method');
    expect(plan({ settings: { ...tunnelSettings, 'rekey-method': 'new-tunnel' } }).text).toContain(
      'new-tunnel',
    );
    const off = plan({ settings: { ...tunnelSettings, 'rekey-time': 0 } });
    expect(off.text).toContain('X-CSTP-Rekey-Method: none\r\n');
    expect(off.text).not.toContain('Rekey-Time');
    expect(off.options.rekeySec).toBe(0);
  });

  it('compresses each channel as the client and the order of preference say', () => {
    const offers = (cstp: string, dtls: string) =>
      parseConnectRequest({ ...headers, 'x-cstp-accept-encoding': cstp, 'x-dtls-accept-encoding': dtls });
    const settings = { ...tunnelSettings, compression: true, 'no-compress-limit': 100 };
    const both = plan({ settings, request: offers('deflate,lzs, oc-lz4', 'lzs') });
    expect(both.text).toMatch(/\r\nX-DTLS-Content-Encoding: lzs\r\nX-CSTP-Content-Encoding: oc-lz4\r\n\r\n$/);
    expect(both.options).toMatchObject({
      cstpCompression: 'oc-lz4',
      dtlsCompression: 'lzs',
      noCompressLimit: 100,
    });
    const lzs = { ...settings, 'compression-algo-priority': 'lzs:lz4' };
    expect(plan({ settings: lzs, request: offers('oc-lz4,lzs', '') }).encodings).toEqual({
      cstpEncoding: 'lzs',
      dtlsEncoding: null,
    });
    for (const none of [
      plan({ request: offers('oc-lz4', 'oc-lz4') }),
      plan({ settings, request: offers('deflate', 'LZ4') }),
    ]) {
      expect(none.text).not.toContain('Content-Encoding');
      expect(none.options).toMatchObject({ cstpCompression: null, dtlsCompression: null });
    }
  });

  it("adds the administrator's headers, with the names of user and group", () => {
    const settings = {
      ...tunnelSettings,
      'included-http-headers': ['X-Frame-Options: deny'],
      'custom-header': ['X-User: %{U} in %{G}', 'X-Plain: 100%'],
      'proxy-url': 'http://proxy/%{U}.pac',
      'listen-host-is-dyndns': true,
    };
    const session = aSession({ userName: 'al\r\nX-Evil: 1', groupName: 'staff' });
    const { text } = plan({ settings, session });
    expect(text).toMatch(/^HTTP\/1\.1 200 CONNECTED\r\nX-Frame-Options: deny\r\nX-CSTP-Version: 1\r\n/);
    expect(text).toContain(
      'X-CSTP-License: accept\r\nX-User: al X-Evil: 1 in staff\r\nX-Plain: 100%\r\nX-DTLS',
    );
    expect(text).toContain('X-CSTP-MSIE-Proxy-PAC-URL: http://proxy/al X-Evil: 1.pac\r\n');
    expect(text).toContain('X-CSTP-Smartcard-Removal-Disconnect: true\r\nX-CSTP-DynDNS: true\r\n');
    expect(plan().text).not.toMatch(/DynDNS|PAC-URL|X-User|X-Frame/);
  });

  it('offers the legacy DTLS of Cisco clients when they are to be served', () => {
    const request = parseConnectRequest({
      'x-dtls-master-secret': 'ab'.repeat(48),
      'x-dtls12-ciphersuite': 'AES256-GCM-SHA384',
    });
    const off = { ...tunnelSettings, 'dtls-legacy': false };
    expect(plan({ request, settings: off }).dtls).toBeNull();
    for (const name of ['cisco-client-compat', 'cisco-svc-client-compat'] as const) {
      expect(plan({ request, settings: { ...off, [name]: true } }).dtls?.mode).toBe('legacy');
    }
  });

  it('limits send buffers in packets of the link', () => {
    const buffer = (packets: number) =>
      plan({ settings: { ...tunnelSettings, 'output-buffer': packets } }).options.sendBufferBytes;
    expect([buffer(0), buffer(1), buffer(10)]).toEqual([0, 2048, 15000]);
  });

  it('sends no routes but all DNS with a default route', () => {
    for (const routes of [[], ['default'], ['10.0.0.0/8', '0.0.0.0/0']]) {
      const { text } = plan({ session: aSession({}, { routes }) });
      expect(text).not.toContain('Split-Include');
      expect(text).toContain('X-CSTP-Tunnel-All-DNS: true\r\n');
      expect(text).toContain('X-CSTP-Split-Exclude: 10.10.5.0/255.255.255.0\r\n');
    }
  });

  it('gives a client without full IPv6 its address but no routes or servers', () => {
    const request = parseConnectRequest({ 'x-cstp-base-mtu': '1500' });
    const session = aSession({}, { dns: ['10.99.0.1', 'fd99::53'] });
    const { text } = plan({ request, session });
    expect(text).toContain('X-CSTP-Address: fd99::50\r\nX-CSTP-Netmask: fd99::/48\r\n');
    expect(text).not.toContain('-IP6');
    expect(text).not.toContain('fd99::53');
  });

  it('names IPv6 servers as the client knows them', () => {
    const session = aSession({}, { dns: ['fd99::53'] });
    expect(plan({ session }).text).toContain('X-CSTP-DNS: fd99::53\r\n');
    const identity = clientIdentity({ 'user-agent': 'AnyConnect Windows 5' });
    expect(plan({ session, identity }).text).toContain('X-CSTP-DNS-IP6: fd99::53\r\n');
  });

  it('gives iOS the route to all of IPv6', () => {
    const identity = clientIdentity({ 'x-anyconnect-identifier-platform': 'apple-ios' });
    expect(plan({ identity }).text).toContain('X-CSTP-Split-Include-IP6: 2000::/3\r\n');
    expect(plan().text).not.toContain('2000::/3');
  });

  it('gives openconnect 3 and small links no IPv6', () => {
    const old = plan({ identity: clientIdentity({ 'user-agent': 'Open AnyConnect VPN Agent v3' }) });
    expect(old.text).not.toContain('fd99::50');
    expect(old.options.clientIpv6).toBeNull();
    const small = plan({ tcpPathMtu: 1300 });
    expect(small.text).toContain('X-CSTP-MTU: 1234\r\n');
    expect(small.text).not.toContain('X-CSTP-Address-IP6');
  });

  it('offers no DTLS when UDP is off', () => {
    for (const session of [aSession({ udpPort: 0 }), aSession({}, { noUdp: true })]) {
      const result = plan({ session });
      expect(result.text).not.toContain('X-DTLS');
      expect(result.options.dtls).toBeNull();
    }
  });

  it('lets a client with networks behind it send from them', () => {
    const { options } = plan({ session: aSession({}, { iroutes: ['192.168.0.0/24'] }) });
    expect(options).toMatchObject({ clientIpv4: null, clientIpv6: null });
  });

  it('keeps every header on its line', () => {
    const { text } = plan({ session: aSession({}, { banner: 'a\r\nX-Evil: 1', defaultDomain: 'd\nX: y' }) });
    expect(text).toContain('X-CSTP-Banner: a X-Evil: 1\r\n');
    expect(text).not.toMatch(/\nX-Evil|\nX: y/);
  });

  it('needs an address of a family that the client accepts', () => {
    const request = parseConnectRequest({ 'x-cstp-address-type': 'IPv4' });
    expect(planTunnel({ ...base, request, session: aSession({ ipv4: null }) })).toHaveProperty('error');
  });
});
