/** Any order of events: the login keeps its promises. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AuthReply, type Effect, HttpAuth } from '../../src/core/session/http-auth.js';
import { clientIdentity } from '../../src/core/wire/connect-request.js';

const settings = {
  auth: ['plain'],
  'enable-auth': [],
  'select-group': ['a', 'b[B]'],
  'default-select-group': 'none',
  'pre-login-banner': '',
  'cookie-timeout': 300,
  'auth-timeout': 240,
  'select-group-by-url': false,
  'cisco-client-compat': false,
};
const identity = clientIdentity({});
const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
const text = fc.option(fc.string({ maxLength: 80 }), { nil: null });
const authReply: fc.Arbitrary<AuthReply> = fc.record({
  reply: fc.constantFrom('OK' as const, 'MSG' as const, 'FAILED' as const),
  sid: fc.option(bytes, { nil: null }),
  userName: fc.string(),
  message: fc.string(),
  passwdCounter: fc.integer({ min: 0, max: 255 }),
  banner: fc.string(),
});

type Act = (auth: HttpAuth) => Effect;
const act: fc.Arbitrary<{ name: string; run: Act }> = fc.oneof(
  fc.constant({ name: 'get', run: (auth: HttpAuth) => auth.get(identity) }),
  fc.tuple(text, text, text).map(([username, password, group]) => ({
    name: 'post',
    run: (auth: HttpAuth) =>
      auth.post(
        { format: 'xml', username, password: password === null ? null : Buffer.from(password), group },
        identity,
      ),
  })),
  authReply.map((reply) => ({ name: 'auth-reply', run: (auth: HttpAuth) => auth.authReply(reply) })),
  fc.option(bytes, { nil: null }).map((cookie) => ({
    name: 'connect',
    run: (auth: HttpAuth) => auth.connect({ webvpn: cookie && Buffer.from(cookie), webvpncontext: null }),
  })),
  fc.boolean().map((ok) => ({
    name: ok ? 'session' : 'no-session',
    run: (auth: HttpAuth) => auth.sessionReply(ok, ''),
  })),
  fc.constant({ name: 'timeout', run: (auth: HttpAuth) => auth.timeout() }),
  fc.constant({ name: 'failure', run: (auth: HttpAuth) => auth.failure('x') }),
);

describe('HttpAuth', () => {
  it('never throws, ends for good in FAILED, and opens a tunnel only after main granted a session', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 30 }), (acts) => {
        const auth = new HttpAuth(settings, { certificateSha1: () => '', profile: null, holder: null }, 0);
        let failed = false;
        for (const { name, run } of acts) {
          const effect = run(auth);
          if (effect.do === 'open-tunnel') expect([name, failed]).toEqual(['session', false]);
          if (failed) expect(effect).toMatchObject({ do: 'reply', reply: { after: 'alert' } });
          failed ||= auth.state === 'FAILED';
          if (failed) expect(auth.state).toBe('FAILED');
          if (effect.do === 'reply' && effect.failure !== null) expect(auth.state).toBe('FAILED');
        }
      }),
    );
  });
});
