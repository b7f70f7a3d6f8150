/** secmod as the worker sees it: logins from a table, signatures with a key of the test. */
import { constants, type KeyObject, sign } from 'node:crypto';

export interface Login {
  readonly password: string;
  /** Asked after the password. */
  readonly secondFactor?: string;
  /** The back end works on the password, and goes on working. */
  readonly neverAnswers?: boolean;
}

/** secmod's side of a login: three tries, then an optional second factor. */
export class FakeLogins {
  readonly #logins: Readonly<Record<string, Login>>;
  readonly #open = new Map<number, { user: string; tries: number; passed: boolean; state: string }>();

  constructor(logins: Readonly<Record<string, Login>>) {
    this.#logins = logins;
  }

  state(client: number): string {
    return this.#open.get(client)?.state ?? 'NONE';
  }

  init(client: number, user: string) {
    this.#open.set(client, { user, tries: 0, passed: false, state: 'INIT' });
    return this.#reply(user, 'MSG', '', 0);
  }

  next(client: number, password: string) {
    const login = this.#open.get(client);
    if (!login) throw new Error('no login');
    const known = this.#logins[login.user];
    login.state = 'CONT';
    if (known?.neverAnswers) return new Promise<never>(() => undefined);
    const expected = login.passed ? known?.secondFactor : known?.password;
    if (password !== expected) {
      login.tries += 1;
      if (login.tries === 3) login.state = 'FAILED';
      const text = 'Login failed.\nPlease enter your password.';
      return this.#reply(login.user, login.tries === 3 ? 'FAILED' : 'MSG', text, login.passed ? 1 : 0);
    }
    if (known?.secondFactor !== undefined && !login.passed) {
      login.passed = true;
      return this.#reply(login.user, 'MSG', 'Enter the code.', 1);
    }
    login.state = 'COMPLETED';
    return this.#reply(login.user, 'OK', '', 0);
  }

  #reply(userName: string, reply: 'OK' | 'MSG' | 'FAILED', message: string, passwdCounter: number) {
    return {
      reply,
      sid: new Uint8Array(32).fill(0xab),
      userName,
      message,
      passwdCounter,
      banner: '',
      token: null,
    };
  }
}

/** As secmod signs: RFC 8446 4.2.3 schemes. */
export function signature(key: KeyObject, scheme: number, data: Uint8Array): Buffer {
  const pss = scheme >= 0x0804 && scheme <= 0x0806;
  const digest = { 4: 'sha256', 5: 'sha384', 6: 'sha512' }[pss ? scheme & 0xff : scheme >> 8] ?? 'sha256';
  const padding = pss
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : {};
  return sign(digest, data, { key, ...padding });
}
