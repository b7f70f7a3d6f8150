/**
 * A complete authentication plugin: users in a JSON file, a password and then a word that they agreed on.
 *
 *     auth: example[users=/etc/vpn/example-users.json]
 *
 *     { "alice": { "salt": "00ff…", "scrypt": "…64 bytes in hex…", "word": "otter", "groups": ["staff"] } }
 */
import { scrypt, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
// Types alone: the built plugin does not need the server to be found.
import type {
  AccountingPlugin,
  AuthBackend,
  AuthBackendPlugin,
  AuthBackendsHook,
  BackendHost,
  Conversation,
  LoginContext,
  Step,
} from 'ocvpn/dist/core/plugin-api/index.js';

interface User {
  readonly salt: string;
  readonly scrypt: string;
  readonly word: string;
  readonly groups: readonly string[];
}

const HASH_BYTES = 64;
const hash: (password: Uint8Array, salt: Uint8Array, bytes: number) => Promise<Buffer> = promisify(scrypt);
/** Stands in for users that do not exist, so that they take as long as others. */
const NOBODY: User = { salt: '00', scrypt: '00'.repeat(HASH_BYTES), word: '', groups: [] };

const plugin: AuthBackendPlugin = {
  manifest: {
    name: 'example',
    maxTries: 3,
    // It reads a file, and nothing else.
    needs: [],
    options: {
      users: { type: 'string', required: true, positional: true, doc: 'JSON file of users.' },
    },
  },
  // Called once for each virtual host. What is wrong with the set-up is thrown here, and stops the server's start.
  create: async (options, host) => createBackend(String(options.users), host),
};

async function createBackend(file: string, host: BackendHost): Promise<AuthBackend> {
  const users = new Map(Object.entries(JSON.parse(await readFile(file, 'utf8')) as Record<string, User>));
  host.log.info({ file, users: users.size }, 'users read');
  return { begin: (login) => new ExampleConversation(users, login) };
}

/** One login. The state between its rounds is in here; many run at once. */
class ExampleConversation implements Conversation {
  readonly #user: User;
  readonly #known: boolean;
  readonly #login: LoginContext;
  #passed = false;

  constructor(users: ReadonlyMap<string, User>, login: LoginContext) {
    const user = users.get(login.userName);
    this.#known = user !== undefined;
    this.#user = user ?? NOBODY;
    this.#login = login;
  }

  async start(): Promise<Step> {
    return { result: 'prompt', message: '', counter: 0 };
  }

  async answer(secret: Uint8Array): Promise<Step> {
    return this.#passed ? this.#checkWord(secret) : this.#checkPassword(secret);
  }

  async #checkPassword(password: Uint8Array): Promise<Step> {
    const computed = await hash(password, Buffer.from(this.#user.salt, 'hex'), HASH_BYTES);
    // Whoever waited for this may be gone; a back end with requests of its own would give this signal to them.
    this.#login.signal.throwIfAborted();
    const right = timingSafeEqual(computed, Buffer.from(this.#user.scrypt, 'hex'));
    if (!right || !this.#known) return { result: 'fail', retry: true, message: '' };
    this.#passed = true;
    return { result: 'prompt', message: 'And the word?', counter: 1 };
  }

  async #checkWord(word: Uint8Array): Promise<Step> {
    if (Buffer.from(word).toString() !== this.#user.word)
      return { result: 'fail', retry: true, message: 'Not that one. And the word?' };
    return { result: 'ok', userName: this.#login.userName, groups: this.#user.groups };
  }
}

/** `acct: example` writes who came and went to the log. The methods return at once: what takes time is queued. */
const accounting: AccountingPlugin = {
  manifest: { name: 'example', options: {}, needs: [] },
  create: async (_options, host) => ({
    start: ({ sessionId, userName, ipv4 }) => host.log.info({ sessionId, userName, ipv4 }, 'came'),
    interim: () => undefined,
    stop: ({ sessionId }, { seconds, bytesIn, bytesOut }, reason) =>
      host.log.info({ sessionId, seconds, bytesIn, bytesOut, reason }, 'went'),
  }),
};

const hook: AuthBackendsHook = ({ apiVersion, register, registerAccounting }) => {
  if (apiVersion !== 1) throw new Error(`made for version 1 of the interface, not ${apiVersion}`);
  register(plugin);
  registerAccounting(accounting);
};
export default hook;
