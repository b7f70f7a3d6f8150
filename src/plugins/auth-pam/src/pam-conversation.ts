/** One login by PAM: the messages of its modules as rounds of prompts. */
import type { BackendLog, Conversation, LoginContext, Step } from '../../../core/plugin-api/index.js';
import { loadAddon, type PamMessage, type PamOutcome, type Transaction } from './addon.js';

/** Module answers that PAM_MAX_RESP_SIZE (_pam_types.h) allows, without the final NUL. */
const MAX_ANSWER_BYTES = 511;
/** A module that asks on and on is cut off. */
const MAX_ROUNDS = 32;
/** Hanging threads before logins are refused: each holds memory until its module returns. */
const MAX_ABANDONED = 32;
const MAX_RUNNING = 1024;
/** pam_conv(3) leaves the words to the module; these are the usual ones for a password. */
const PASSWORD_PROMPT = /^password:?\s*$/i;

export interface PamSettings {
  readonly service: string;
  /** Groups with a smaller number are left out. */
  readonly gidMin: number;
  /** Directory of service files, '' for the system's. */
  readonly confdir: string;
}

type Event = { readonly messages: readonly PamMessage[]; readonly outcome: PamOutcome | null };

export class PamConversation implements Conversation {
  readonly #settings: PamSettings;
  readonly #login: LoginContext;
  readonly #log: BackendLog;
  readonly #events: Event[] = [];
  #wake: () => void = () => {};
  #transaction: Transaction | null = null;
  /** Prompts of the last messages that were not asked yet. */
  #prompts: string[] = [];
  /** Texts of modules that go with the next prompt. */
  #texts: string[] = [];
  #round = 0;

  constructor(settings: PamSettings, login: LoginContext, log: BackendLog) {
    this.#settings = settings;
    this.#login = login;
    this.#log = log;
  }

  async start(): Promise<Step> {
    const { userName, remoteIp } = this.#login;
    if (userName.includes('\0')) return this.#fail('the user name has a NUL byte');
    const { service, confdir } = this.#settings;
    const addon = loadAddon();
    const { running, abandoned } = addon.threads();
    if (abandoned >= MAX_ABANDONED) throw new Error(`${abandoned} PAM transactions hang in their modules`);
    if (running >= MAX_RUNNING) throw new Error(`${running} PAM transactions are under way`);
    const options = { service, user: userName, remoteHost: remoteIp, tty: service, confdir };
    this.#transaction = new addon.Transaction(options, (messages, outcome) => {
      this.#events.push({ messages, outcome });
      this.#wake();
    });
    return this.#step();
  }

  async answer(secret: Uint8Array): Promise<Step> {
    // The prefix up to a NUL byte would be taken for the whole.
    if (secret.length > MAX_ANSWER_BYTES || secret.includes(0))
      return this.#fail('an answer that PAM cannot take');
    if (!this.#transaction?.answer(secret)) throw new Error('PAM expects no answer');
    return this.#step();
  }

  end(): void {
    this.#transaction?.abandon();
    this.#transaction = null;
  }

  /** The next prompt, or how it ended. */
  async #step(): Promise<Step> {
    for (;;) {
      const message = this.#prompts.shift();
      if (message !== undefined) return this.#prompt(message);
      const { messages, outcome } = await this.#nextEvent();
      if (outcome) return this.#end(outcome);
      this.#collect(messages);
    }
  }

  async #nextEvent(): Promise<Event> {
    for (;;) {
      const event = this.#events.shift();
      if (event) return event;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #collect(messages: readonly PamMessage[]): void {
    for (const { kind, text } of messages) {
      this.#texts.push(text);
      if (kind !== 'prompt') continue;
      const standard = this.#texts.length === 1 && PASSWORD_PROMPT.test(text);
      this.#prompts.push(standard ? '' : this.#texts.join('\n'));
      this.#texts = [];
    }
  }

  #prompt(message: string): Step {
    const counter = this.#round++;
    return counter < MAX_ROUNDS ? { result: 'prompt', message, counter } : this.#fail('too many prompts');
  }

  #end({ stage, code, text, user, groups }: PamOutcome): Step {
    if (code !== 0) return this.#fail(text, { stage, code });
    const { gidMin } = this.#settings;
    const names = groups.filter(({ gid }) => gid >= gidMin).map(({ name }) => name);
    return { result: 'ok', userName: user, groups: names };
  }

  /** A transaction that has failed cannot be tried again; the modules themselves ask again where they want to. */
  #fail(reason: string, details: object = {}): Step {
    const { userName, sessionId: session } = this.#login;
    this.#log.info({ userName, session, reason, ...details }, 'PAM refused the login');
    return { result: 'fail', retry: false, message: this.#texts.join('\n') };
  }
}
