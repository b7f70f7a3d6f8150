/**
 * The `plain` back end: one password per user and, with `otp=`, a one-time password after it; three tries in all.
 * A user who has a token and no password logs in with the one-time password alone.
 */
import { timingSafeEqual } from 'node:crypto';
import type {
  AuthBackend,
  AuthBackendPlugin,
  BackendHost,
  BackendOptions,
  Conversation,
  LoginContext,
  Step,
} from '../../../core/plugin-api/index.js';
import { loadAddon } from './addon.js';
import { crypt } from './crypt.js';
import { type Attempt, OathFile } from './oath-file.js';
import { PasswordFile } from './password-file.js';

const MAX_TRIES = 3;
/** No line of users.oath can have it. */
const NOBODY = '';
const ASK: Step = { result: 'prompt', message: '', counter: 0 };
const WRONG: Step = { result: 'fail', retry: true, message: '' };
const ASK_CODE: Step = { result: 'prompt', message: 'Please enter your one-time password.', counter: 1 };
const WRONG_CODE: Step = {
  result: 'fail',
  retry: true,
  message: 'Login failed.\nPlease enter your one-time password.',
};

export const plainPlugin: AuthBackendPlugin = {
  manifest: {
    name: 'plain',
    needs: [],
    maxTries: MAX_TRIES,
    options: {
      passwd: {
        type: 'string',
        required: true,
        positional: true,
        doc: 'File that ocpasswd or vpn passwd writes.',
      },
      otp: {
        type: 'string',
        doc: 'users.oath file of one-time password tokens; every user then needs a token.',
      },
    },
  },
  create: createPlainBackend,
};

async function createPlainBackend(options: BackendOptions, host: BackendHost): Promise<AuthBackend> {
  const passwords = new PasswordFile(String(options.passwd));
  const tokens = options.otp === undefined ? null : new OathFile(String(options.otp));
  loadAddon();
  await passwords.users().catch((error: NodeJS.ErrnoException) => {
    // As with ocserv: the first user makes it.
    if (error.code !== 'ENOENT') throw error;
    host.log.warn({ file: passwords.path }, 'there is no password file yet: nobody can log in');
  });
  const unsupported = (await tokens?.unsupportedLines()) ?? [];
  if (unsupported.length > 0) {
    host.log.warn(
      { file: tokens?.path, lines: unsupported.slice(0, 20) },
      'lines that are no HOTP or TOTP token',
    );
  }
  return {
    begin: (login) => new PlainConversation(passwords, tokens, login, host),
    groups: async () => (await passwords.users()).groups(),
  };
}

class PlainConversation implements Conversation {
  readonly #passwords: PasswordFile;
  /** null: passwords alone. */
  readonly #tokens: OathFile | null;
  readonly #login: LoginContext;
  readonly #host: BackendHost;
  /** Set when the password was right: what remains is the code. */
  #passed: { readonly groups: readonly string[] } | null = null;

  constructor(passwords: PasswordFile, tokens: OathFile | null, login: LoginContext, host: BackendHost) {
    this.#passwords = passwords;
    this.#tokens = tokens;
    this.#login = login;
    this.#host = host;
  }

  async start(): Promise<Step> {
    return ASK;
  }

  async answer(secret: Uint8Array): Promise<Step> {
    return this.#passed
      ? this.#checkCode(secret, this.#passed.groups, WRONG_CODE)
      : this.#checkPassword(secret);
  }

  async #checkPassword(password: Uint8Array): Promise<Step> {
    const { userName, sessionId: session, signal } = this.#login;
    const users = await this.#passwords.users();
    signal.throwIfAborted();
    const entry = users.find(userName);
    const tokenAlone = this.#tokens !== null && !entry?.locked && !entry?.hash;
    // Unknown and locked users cost the same hash as others.
    const usable = entry !== undefined && !entry.locked && entry.hash !== '';
    const stored = usable ? entry.hash : users.typicalHash;
    const computed = await crypt(password, stored);
    if (usable && computed === null) {
      this.#host.log.debug({ userName, session }, 'password or stored hash that crypt(3) does not take');
    }
    if (tokenAlone) return this.#checkCode(password, entry?.groups ?? [], WRONG);
    if (!usable || computed === null || !sameText(computed, stored)) {
      // A name that is unknown might have a token alone, which was looked for: as long as that.
      await this.#tokens?.use(this.#attempt(NOBODY, password));
      return WRONG;
    }
    if (this.#tokens === null) return { result: 'ok', userName, groups: entry.groups };
    this.#passed = { groups: entry.groups };
    return ASK_CODE;
  }

  async #checkCode(typed: Uint8Array, groups: readonly string[], wrong: Step): Promise<Step> {
    const { userName, signal } = this.#login;
    signal.throwIfAborted();
    const right = await this.#tokens?.use(this.#attempt(userName, typed));
    return right ? { result: 'ok', userName, groups } : wrong;
  }

  #attempt(userName: string, typed: Uint8Array): Attempt {
    return {
      userName,
      typed: Buffer.from(typed).toString(),
      remoteIp: this.#login.remoteIp,
      now: new Date(),
    };
  }
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
