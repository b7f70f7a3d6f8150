/**
 * Option use-utmp: sessions in utmp and wtmp, for who(1), w(1) and last(1). The line is the device of the session, the
 * process the one that carries it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../log.js';
import type { LoginRecord } from '../native/login-types.js';
import type { NativeIo } from '../native/types.js';
import type { Client, Session } from './clients.js';

const UTMP = '/run/utmp';
const WTMP = '/var/log/wtmp';
/** Whoever reads utmp locks it for a moment; main waits for nobody. */
const ATTEMPTS = 40;
const PAUSE_MS = 50;

export interface LoginRecordsOptions {
  readonly io: Pick<NativeIo, 'writeLogin'>;
  readonly log: Logger;
  /** use-utmp */
  readonly wanted: () => boolean;
  /** Seconds since the epoch. */
  readonly now: () => number;
}

export class LoginRecords {
  readonly #options: LoginRecordsOptions;
  /** Sessions that are in utmp: they are taken out again even if the option was turned off meanwhile. */
  readonly #begun = new WeakSet<Session>();
  /** Records of one line must not overtake each other. */
  #queue: Promise<void> = Promise.resolve();

  constructor(options: LoginRecordsOptions) {
    this.#options = options;
  }

  /** Writes, soon, that the session has begun, or that another main has it now; a failure is logged. */
  begins(client: Client, session: Session): void {
    if (!this.#options.wanted()) return;
    this.#begun.add(session);
    const { connectedAt: seconds, awaitsBaseline: adopted } = session;
    this.#enqueue(client, session, { begins: true, seconds, history: !adopted });
  }

  /** Writes, soon, that it has ended. */
  ends(client: Client, session: Session): void {
    if (!this.#begun.delete(session)) return;
    this.#enqueue(client, session, { begins: false, seconds: this.#options.now(), history: true });
  }

  /** Resolves when everything is written. */
  async idle(): Promise<void> {
    await this.#queue;
  }

  #enqueue(
    { remote, worker }: Client,
    { userName: user, tunName: line, pid }: Session,
    what: Pick<LoginRecord, 'begins' | 'seconds' | 'history'>,
  ): void {
    const login = {
      utmp: UTMP,
      wtmp: WTMP,
      user,
      line,
      host: remote.address,
      pid: pid || worker.pid,
      ...what,
    };
    this.#queue = this.#queue.then(() => this.#write(login));
  }

  async #write(login: LoginRecord): Promise<void> {
    const { io, log } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        io.writeLogin(login);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || attempt === ATTEMPTS) {
          log.warn({ device: login.line, user: login.user, err: error }, 'utmp and wtmp were not written');
          return;
        }
      }
      await sleep(PAUSE_MS);
    }
  }
}
