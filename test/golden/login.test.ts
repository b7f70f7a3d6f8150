/** Recorded logins, replayed against our login: every reply must be the recorded bytes. */
import { describe, expect, it } from 'vitest';
import { type AuthReply, type Effect, HttpAuth } from '../../src/core/session/http-auth.js';
import { parseAuthBody } from '../../src/core/wire/auth-body.js';
import { clientIdentity } from '../../src/core/wire/connect-request.js';
import { decodeCookie } from '../../src/core/wire/cookies.js';
import { serializeReply } from '../../src/core/wire/http-reply.js';
import { type Exchange, readRecording } from '../support/golden.js';

/** As in the recording's ocserv.conf. */
const settings = {
  auth: ['plain'],
  'enable-auth': [],
  'select-group': ['staff', 'tech[Technical people]'],
  'default-select-group': 'default',
  'pre-login-banner': 'Authorised use only',
  'cookie-timeout': 300,
  'auth-timeout': 240,
  'select-group-by-url': false,
  'cisco-client-compat': false,
};
const CERTIFICATE_SHA1 = 'ED32594306CBDED7C2E1311D383B094CB0FD114A';
const passwords: Record<string, string> = { alice: 'secret', bob: 'hunter2' };

/** What secmod does in these recordings: three tries, ocserv's texts. */
class Backend {
  readonly #sid: Uint8Array;
  #user = '';
  #tries = 0;

  constructor(sid: Uint8Array) {
    this.#sid = sid;
  }

  answer(effect: Effect): AuthReply {
    const base = { sid: this.#sid, userName: this.#user, message: '', passwdCounter: 0, banner: '' };
    if (effect.do === 'auth-init') {
      this.#user = effect.userName;
      return { ...base, reply: 'MSG' };
    }
    if (effect.do !== 'auth-cont') throw new Error(`unexpected ${effect.do}`);
    if (Buffer.from(effect.password).toString() === passwords[this.#user]) {
      return { ...base, reply: 'OK', banner: 'Welcome to the example VPN' };
    }
    this.#tries += 1;
    if (this.#tries === 3) return { ...base, reply: 'FAILED' };
    return { ...base, reply: 'MSG', message: 'Login failed.\nPlease enter your password.' };
  }
}

/** The SID that the real server chose; it varies, so it is taken over. */
function recordedSid(exchanges: readonly Exchange[]): Uint8Array {
  for (const { reply } of exchanges) {
    for (const [, value] of reply.headers) {
      const sid = decodeCookie(/^webvpncontext=([^;]+);/.exec(value)?.[1] ?? '');
      if (sid) return sid;
    }
  }
  throw new Error('the recording has no SID');
}

/** The session cookie is elided in the recordings. */
const mask = (text: string): string => text.replace(/webvpn=[^;]+;/, 'webvpn=<elided>;');

function replay(auth: HttpAuth, backend: Backend, { request }: Exchange): string {
  const identity = clientIdentity(request.headers);
  let effect =
    request.method === 'GET'
      ? auth.get(identity)
      : auth.post(parseAuthBody(Buffer.from(request.body)), identity);
  while (effect.do === 'auth-init' || effect.do === 'auth-cont')
    effect = auth.authReply(backend.answer(effect));
  if (effect.do !== 'reply') throw new Error(`unexpected ${effect.do}`);
  return mask(serializeReply(effect.reply).toString());
}

const recorded = ({ reply }: Exchange): string => {
  const headers = reply.headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const length = Number(reply.headers.find(([name]) => name === 'Content-Length')?.[1]);
  const newline = Buffer.byteLength(reply.body) === length - 1 ? '\n' : '';
  return `${reply.statusLine}\r\n${headers}\r\n${reply.body}${newline}`;
};

describe.each(['login-group', 'login-wrong-password', 'login-form-post', 'login-anyconnect-agent'])(
  '%s',
  (name) => {
    const exchanges = readRecording(`ocserv-1.5.0/${name}.txt`);

    it('has at least two exchanges', () => expect(exchanges.length).toBeGreaterThanOrEqual(2));

    it('gets the recorded replies', () => {
      const sid = recordedSid(exchanges);
      const auth = new HttpAuth(
        settings,
        { certificateSha1: () => CERTIFICATE_SHA1, profile: null, holder: null },
        0,
      );
      const backend = new Backend(sid);
      for (const exchange of exchanges) expect(replay(auth, backend, exchange)).toBe(recorded(exchange));
      expect(auth.state).toBe(name === 'login-wrong-password' ? 'FAILED' : 'COOKIE');
    });
  },
);
