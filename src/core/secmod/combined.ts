/** Several back ends as one: a login must pass all of them, one after the other, as the same user. */
import type { Logger } from '../log.js';
import type { AuthBackend, Conversation, LoginContext, Step } from '../plugin-api/index.js';

type Passed = Extract<Step, { result: 'ok' }>;

/** `backends` is not empty; a single one stays what it is. */
export function combined(backends: readonly AuthBackend[], log: Logger): AuthBackend {
  const [only] = backends;
  if (only && backends.length === 1) return only;
  return { begin: (login) => new CombinedConversation(backends, login, log) };
}

class CombinedConversation implements Conversation {
  readonly #waiting: AuthBackend[];
  readonly #login: LoginContext;
  readonly #log: Logger;
  readonly #begun: Conversation[] = [];
  #passed: Passed | null = null;

  constructor(backends: readonly AuthBackend[], login: LoginContext, log: Logger) {
    this.#waiting = [...backends];
    this.#login = login;
    this.#log = log;
  }

  start(): Promise<Step> {
    return this.#next();
  }

  async answer(secret: Uint8Array): Promise<Step> {
    const current = this.#begun.at(-1);
    if (!current) throw new Error('an answer before the start');
    return this.#after(await current.answer(secret));
  }

  end(): void {
    for (const conversation of this.#begun) conversation.end?.();
  }

  async #next(): Promise<Step> {
    const backend = this.#waiting.shift();
    if (!backend) throw new Error('no back end is left');
    const conversation = backend.begin(this.#login);
    this.#begun.push(conversation);
    return this.#after(await conversation.start());
  }

  async #after(step: Step): Promise<Step> {
    if (step.result !== 'ok') return step;
    const { userName: typed } = this.#login;
    const known = this.#passed?.userName ?? typed;
    if (known !== '' && known !== step.userName) {
      this.#log.info({ user: known, other: step.userName }, 'two methods of one login name different users');
      return { result: 'fail', retry: false, message: '' };
    }
    this.#passed = this.#passed ? merge(this.#passed, step) : step;
    return this.#waiting.length > 0 ? this.#next() : this.#passed;
  }
}

/** A later method that knows groups or settings has the last word on them. */
function merge(earlier: Passed, later: Passed): Passed {
  const session = later.session ?? earlier.session;
  return {
    result: 'ok',
    userName: later.userName,
    groups: later.groups.length > 0 ? later.groups : earlier.groups,
    ...(session && { session }),
  };
}
