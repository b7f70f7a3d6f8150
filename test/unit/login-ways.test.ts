/** Which way a client logs in by, and what the TLS handshake asks for. */
import { describe, expect, test } from 'vitest';
import { HttpAuth, type LoginPages } from '../../src/core/session/http-auth.js';
import { certificateRequest, chooseWay, loginWays } from '../../src/core/session/login-ways.js';
import { clientIdentity } from '../../src/core/wire/connect-request.js';

describe('the ways of auth and enable-auth', () => {
  const ways = (auth: string, enabled = '') =>
    loginWays({ auth: auth.split(' '), 'enable-auth': enabled.split(' ').filter(Boolean) });

  test.each([
    // auth, enable-auth, certificate, negotiate: the way
    ['plain', '', false, false, 0],
    ['certificate', '', true, false, 0],
    ['certificate', '', false, false, null],
    ['certificate plain', '', true, false, 0],
    ['certificate plain', '', false, false, null],
    ['plain', 'certificate', false, false, 0],
    ['plain', 'certificate', true, false, 1],
    ['certificate', 'plain', false, false, 1],
    ['plain', 'gssapi', false, false, 0],
    ['plain', 'gssapi', false, true, 1],
    ['gssapi', '', false, false, null],
    ['plain', 'gssapi certificate', true, true, 2],
    ['plain', 'gssapi certificate', false, true, 1],
    ['certificate gssapi', 'plain', true, false, 1],
    ['certificate gssapi', 'plain', true, true, 0],
    ['radius', 'certificate', true, false, 1],
  ])(
    'auth %j, enable-auth %j, certificate %s, Negotiate %s: way %s',
    (auth, enabled, certificate, negotiate, way) => {
      expect(chooseWay(ways(auth, enabled), { certificate, negotiate })?.index ?? null).toBe(way);
    },
  );
});

test.each([
  ['plain', '', {}, 'none'],
  ['certificate', '', {}, 'require'],
  ['certificate', '', { 'cisco-client-compat': true }, 'request'],
  ['certificate plain', '', {}, 'request'],
  ['certificate', 'gssapi', {}, 'request'],
  ['plain', 'certificate', {}, 'request'],
  ['plain', 'certificate', { 'always-require-cert': true }, 'require'],
  ['plain', '', { 'always-require-cert': true }, 'none'],
])('auth %j, enable-auth %j, %j: the handshake has "%s"', (auth, enabled, more, mode) => {
  const methods = { auth: auth.split(' '), 'enable-auth': enabled.split(' ').filter(Boolean) };
  const settings = { ...methods, 'always-require-cert': false, 'cisco-client-compat': false, ...more };
  expect(certificateRequest(settings)).toBe(mode);
});

describe('a login by certificate', () => {
  const settings = {
    auth: ['certificate'],
    'enable-auth': [] as string[],
    'select-group': [] as string[],
    'default-select-group': '',
    'pre-login-banner': '',
    'cookie-timeout': 300,
    'auth-timeout': 10,
    'select-group-by-url': true,
    'cisco-client-compat': false,
  };
  const identity = clientIdentity({});
  const nobody = { format: 'xml', username: null, password: null, group: null } as const;
  const open = (groups: readonly string[] | null, more: Partial<typeof settings> = {}) => {
    const holder = groups && { userName: 'cora', groups };
    const pages: LoginPages = { certificateSha1: () => '', profile: null, holder };
    return new HttpAuth({ ...settings, ...more }, pages, 0);
  };

  test('completes on the first POST, whatever name is typed', () => {
    const init = { do: 'auth-init', userName: '', groupName: '', way: 0 };
    expect(open([]).post(nobody, identity)).toEqual(init);
    expect(open([]).post({ ...nobody, username: 'mallory' }, identity)).toEqual(init);
  });

  test.each([
    // groups of the certificate, select-group, proposed: what is selected, null for a form
    [['a'], [], null, 'a'],
    [['a', 'b'], [], null, null],
    [['a', 'b'], ['b[Bees]', 'c'], null, 'b'],
    [['a', 'b'], [], 'b', 'b'],
    [['a', 'b'], ['b[Bees]', 'a'], 'Bees', 'b'],
    [['a'], [], 'z', 'z'],
    [['a', 'b'], ['c'], null, ''],
    [[], ['c'], null, ''],
  ])('groups %j, select-group %j, %j proposed: %j', (groups, offered, group, selected) => {
    const effect = open(groups, { 'select-group': offered }).post({ ...nobody, group }, identity);
    if (selected !== null) expect(effect).toMatchObject({ do: 'auth-init', groupName: selected });
    else {
      expect(effect).toMatchObject({ do: 'reply', failure: null });
      const body = effect.do === 'reply' ? effect.reply.body : '';
      expect(body).toContain('<message>Please select your group.</message>');
      for (const each of groups) expect(body).toContain(`<option value="${each}">`);
      expect(body).not.toMatch(/name="(username|password)"/);
    }
  });

  test('the default option means no group', () => {
    const auth = open(['a', 'b'], { 'default-select-group': 'Any' });
    expect(auth.post(nobody, identity)).toMatchObject({ do: 'reply' });
    expect(auth.post({ ...nobody, group: 'Any' }, identity)).toMatchObject({
      do: 'auth-init',
      groupName: '',
    });
  });

  test('without a certificate: 401 No certificate, at GET too', () => {
    const reply = { status: 401, reason: 'No certificate', after: 'alert' };
    expect(open(null).post(nobody, identity)).toMatchObject({ do: 'reply', reply });
    expect(open(null).get(identity)).toMatchObject({ do: 'reply', reply });
  });

  test('CONNECT wants it again, unless cisco-client-compat, or another way needs none', () => {
    const cookies = { webvpn: Buffer.alloc(32), webvpncontext: null };
    const refused = { do: 'reply', reply: { status: 503 } };
    expect(open(null).connect(cookies)).toMatchObject(refused);
    expect(open([]).connect(cookies)).toMatchObject({ do: 'open-session' });
    expect(open(null, { 'cisco-client-compat': true }).connect(cookies)).toMatchObject({
      do: 'open-session',
    });
    expect(open(null, { 'enable-auth': ['plain'] }).connect(cookies)).toMatchObject({ do: 'open-session' });
    expect(open(null, { auth: ['certificate', 'plain'] }).connect(cookies)).toMatchObject(refused);
  });

  test('with a password, the form asks for the name, and the name is sent', () => {
    const auth = open(['a', 'b'], { auth: ['certificate', 'plain'] });
    const form = auth.post(nobody, identity);
    expect(form.do === 'reply' && form.reply.body).toContain('name="username"');
    const login = { ...nobody, username: 'cora', password: Buffer.from('x') };
    expect(auth.post(login, identity)).toMatchObject({ do: 'auth-init', userName: 'cora', way: 0 });
  });
});
