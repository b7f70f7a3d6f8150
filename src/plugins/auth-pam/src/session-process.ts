/** One run of the program in ../native/pam_session.cc. */
import { type ChildProcess, spawn } from 'node:child_process';

/** Of the first line. */
const MAX_ANSWER_CHARACTERS = 512;

export class SessionProcess {
  /** '' when PAM agrees, else what it says instead. Never rejects. */
  readonly answer: Promise<string>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #limitMs: number;

  /** `limitMs`: how long it may take to answer, and to end. */
  constructor(program: string, args: readonly string[], limitMs: number) {
    this.#limitMs = limitMs;
    this.#child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: process.env.PATH },
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exited = promise;
    this.answer = this.#firstLine(resolve);
    // It ended before its input did; its answer tells.
    this.#child.stdin?.on('error', () => {});
  }

  /** Takes the session back; resolves when the process is gone, which a hanging module does not prevent. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), this.#limitMs);
    await this.#exited;
    clearTimeout(kill);
  }

  #firstLine(exited: () => void): Promise<string> {
    return new Promise((resolve) => {
      let text = '';
      const limit = setTimeout(() => {
        resolve(`no answer within ${this.#limitMs} ms`);
        this.#child.kill('SIGKILL');
      }, this.#limitMs);
      const settle = (answer: string): void => {
        clearTimeout(limit);
        resolve(answer === 'ok' ? '' : answer.slice(0, MAX_ANSWER_CHARACTERS));
      };
      this.#child.stdout?.on('data', (chunk: Buffer) => {
        text = (text + chunk.toString()).slice(0, MAX_ANSWER_CHARACTERS);
        const line = text.indexOf('\n');
        if (line >= 0) settle(text.slice(0, line));
      });
      this.#child.on('error', (error) => {
        settle(error.message);
        exited();
      });
      this.#child.on('close', () => {
        settle('the process for it ended');
        exited();
      });
    });
  }
}
