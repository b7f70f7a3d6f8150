/** Negotiate in the login's HTTP: challenges, legs, and what comes after a failure. */
import { describe, expect, test } from 'vitest';
import { type AuthReply, type Effect, HttpAuth } from '../../src/core/session/http-auth.js';
import { clientIdentity } from '../../src/core/wire/connect-request.js';
import { parseNegotiation } from '../../src/core/wire/negotiate.js';

const settings = {
  'select-group': [],
  'default-select-group': '',
  'pre-login-banner': '',
  'cookie-timeout': 300,
  'auth-timeout': 10,
  'select-group-by-url': false,
  'cisco-client-compat': false,
};
const identity = clientIdentity({});
const pages = { certificateSha1: () => 'AB', profile: null, holder: null };
const none = { offered: false, token: null };
const offered = { offered: true, token: null };
const withToken = (text: string) => ({ offered: true, token: Buffer.from(text) });
const body = (username: string | null = null, password: string | null = null) => ({
  format: 'xml' as const,
  username,
  password: password === null ? null : Buffer.from(password),
  group: null,
});
const start = (auth: string[], others: string[] = []) =>
  new HttpAuth({ ...settings, auth, 'enable-auth': others }, pages, 1000);

const reply = (changes: Partial<AuthReply>): AuthReply => ({
  reply: 'MSG',
  sid: new Uint8Array(32),
  userName: '',
  message: '',
  passwdCounter: 0,
  banner: '',
  token: null,
  ...changes,
});
const FIRST = reply({ token: new Uint8Array() });
const refused = reply({ reply: 'FAILED', sid: null });
/** Status and headers of a reply, and whether it is the form for a password. */
function shown(effect: Effect) {
  if (effect.do !== 'reply') return effect;
  const { status, headers, body: text } = effect.reply;
  return { status, headers: Object.fromEntries(headers), form: String(text).includes('name="password"') };
}
const challenge = (token: string, fallback: boolean) => ({
  status: 401,
  headers: {
    ...(fallback ? { 'X-HTTP-Auth-Support': 'fallback' } : {}),
    'WWW-Authenticate': token === '' ? 'Negotiate' : `Negotiate ${Buffer.from(token).toString('base64')}`,
    'Content-Length': '0',
  },
  form: false,
});
const form = expect.objectContaining({ status: 200, form: true });

describe('a login by Negotiate', () => {
  test('a challenge, two legs, and the last token with the success', () => {
    const auth = start(['plain'], ['gssapi']);
    expect(shown(auth.post(body(), identity, offered))).toEqual(challenge('', true));
    expect(auth.post(body(), identity, withToken('one'))).toEqual({
      do: 'auth-init',
      userName: '',
      groupName: '',
      way: 1,
    });
    expect(auth.authReply(FIRST)).toMatchObject({ do: 'auth-cont', password: Buffer.from('one') });
    expect(shown(auth.authReply(reply({ token: Buffer.from('leg') })))).toEqual(challenge('leg', true));
    expect(auth.post(body(), identity, withToken('two'))).toMatchObject({
      do: 'auth-cont',
      password: Buffer.from('two'),
    });
    const last = auth.authReply(reply({ reply: 'OK', userName: 'alice', token: Buffer.from('end') }));
    expect(shown(last)).toMatchObject({
      status: 200,
      headers: { 'WWW-Authenticate': `Negotiate ${Buffer.from('end').toString('base64')}` },
    });
    expect(auth.userName).toBe('alice');
    expect(shown(auth.post(body(), identity, offered))).toMatchObject({ status: 200 });
  });

  test('a GET is asked for a token, too; a token may come unasked', () => {
    expect(shown(start(['gssapi']).get(identity, offered))).toEqual(challenge('', false));
    expect(start(['gssapi']).get(identity, withToken('one'))).toMatchObject({ do: 'auth-init', way: 0 });
  });

  test('where there is no other way even those are asked who have not offered it', () => {
    expect(shown(start(['gssapi']).post(body('alice', 'x'), identity, none))).toEqual(challenge('', false));
  });

  test('a client that gives up between the legs is refused', () => {
    const auth = start(['plain'], ['gssapi']);
    auth.post(body(), identity, withToken('one'));
    auth.authReply(FIRST);
    auth.authReply(reply({ token: Buffer.from('leg') }));
    expect(shown(auth.post(body(), identity, none))).toMatchObject({ status: 401 });
    expect(auth.state).toBe('FAILED');
  });

  test('then a password, where both are wanted', () => {
    const auth = start(['gssapi', 'plain']);
    expect(shown(auth.post(body(), identity, offered))).toEqual(challenge('', false));
    expect(auth.post(body(), identity, withToken('one'))).toMatchObject({ do: 'auth-init', userName: '' });
    auth.authReply(FIRST);
    expect(shown(auth.authReply(reply({})))).toEqual(form);
    expect(auth.post(body(null, 'secret'), identity, offered)).toMatchObject({
      do: 'auth-cont',
      password: Buffer.from('secret'),
    });
  });
});

describe('another way', () => {
  test('for a client that does not offer Negotiate', () => {
    const auth = start(['plain'], ['gssapi']);
    expect(shown(auth.post(body(), identity, none))).toEqual(form);
    expect(auth.post(body('alice', 'secret'), identity, none)).toMatchObject({ do: 'auth-init', way: 0 });
  });

  test.each([
    ['at the first token', [refused]],
    ['at its beginning', [FIRST, refused]],
    ['at a later leg', [FIRST, reply({ token: Buffer.from('leg') }), refused]],
  ])('when the ticket is refused %s', (_, replies) => {
    const auth = start(['plain'], ['gssapi']);
    auth.post(body(), identity, withToken('one'));
    let effect: Effect | null = null;
    for (const answer of replies) {
      effect = auth.authReply(answer);
      if (effect.do === 'reply' && effect.reply.status === 401) auth.post(body(), identity, withToken('two'));
    }
    expect(effect && shown(effect)).toEqual(form);
    expect(auth.post(body('alice', 'secret'), identity, offered)).toMatchObject({
      do: 'auth-init',
      userName: 'alice',
      way: 0,
    });
    expect(shown(auth.authReply(refused))).toMatchObject({ status: 401 });
    expect(auth.state).toBe('FAILED');
  });

  test('none: the refusal is final', () => {
    const auth = start(['gssapi']);
    auth.post(body(), identity, withToken('one'));
    auth.authReply(FIRST);
    expect(auth.authReply(refused)).toMatchObject({ reply: { status: 401, after: 'alert' } });
  });
});

test.each([
  [{ authorization: 'Negotiate QUJD' }, { offered: true, token: Buffer.from('ABC') }],
  [{ authorization: 'negotiate  QUI= ' }, { offered: true, token: Buffer.from('AB') }],
  [{ 'x-support-http-auth': 'true' }, offered],
  [{ authorization: 'Negotiate', 'x-support-http-auth': 'true' }, offered],
  [{ authorization: 'Basic QUJD' }, none],
  [{ authorization: 'Negotiate QU\u00e4' }, none],
  [{}, none],
])('headers %j', (headers, expected) => {
  expect(parseNegotiation(headers as Record<string, string>)).toEqual(expected);
});
