/** The `plain` back end: one password per user, three tries. */
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
import { crypt, loadAddon } from './crypt.js';
import { PasswordFile } from './password-file.js';

const MAX_TRIES = 3;
const ASK: Step = { result: 'prompt', message: '', counter: 0 };
const WRONG: Step = { result: 'fail', retry: true, message: '' };

export const plainPlugin: AuthBackendPlugin = {
  manifest: {
    name: 'plain',
    maxTries: MAX_TRIES,
    options: {
      passwd: {
        type: 'string',
        required: true,
        positional: true,
        doc: 'File that ocpasswd or vpn passwd writes.',
      },
    },
  },
  create: createPlainBackend,
};

async function createPlainBackend(options: BackendOptions, host: BackendHost): Promise<AuthBackend> {
  const file = new PasswordFile(String(options.passwd));
  loadAddon();
  await file.users();
  return {
    begin: (login) => new PlainConversation(file, login, host),
    groups: async () => (await file.users()).groups(),
  };
}

class PlainConversation implements Conversation {
  readonly #file: PasswordFile;
  readonly #login: LoginContext;
  readonly #host: BackendHost;

  constructor(file: PasswordFile, login: LoginContext, host: BackendHost) {
    this.#file = file;
    this.#login = login;
    this.#host = host;
  }

  async start(): Promise<Step> {
    return ASK;
  }

  async answer(password: Uint8Array): Promise<Step> {
    const { userName, signal } = this.#login;
    const users = await this.#file.users();
    signal.throwIfAborted();
    const entry = users.find(userName);
    // Unknown and locked users cost the same hash as others.
    const usable = entry !== undefined && !entry.locked && entry.hash !== '';
    const stored = usable ? entry.hash : users.typicalHash;
    const computed = await crypt(password, stored);
    if (usable && computed === null) {
      this.#host.log.debug({ userName }, 'password or stored hash that crypt(3) does not take');
    }
    if (!usable || computed === null || !sameText(computed, stored)) return WRONG;
    return { result: 'ok', userName, groups: entry.groups };
  }
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
