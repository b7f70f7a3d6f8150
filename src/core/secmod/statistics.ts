/** Figures about logins, for SECM_STATS and SECM_LOGIN_STEPS. */
import type { Body } from '../ipc/messages.js';

export interface LoginFigures {
  /** Wrong passwords since the last report. */
  readonly authFailures: number;
  /** Tries that had to wait since the last report. */
  readonly delayedLogins: number;
  /** Workers that broke the protocol since the last report. */
  readonly ipcViolations: number;
  readonly avgAuthTimeMs: number;
  readonly maxAuthTimeMs: number;
}

export type LoginStep = Body<'SECM_LOGIN_STEPS'>['steps'][number];

/** One message carries so many. */
const MAX_STEPS = 32;

export class LoginStatistics {
  /** Takes the steps of back ends, many at a time: a message for each would cost main a wake-up. */
  onSteps: (steps: LoginStep[]) => void = () => {};
  #steps: LoginStep[] = [];
  #failures = 0;
  #delayed = 0;
  #violations = 0;
  #completed = 0;
  #totalMs = 0;
  #maxMs = 0;
  #refusedSignatures = 0;

  failed(): void {
    this.#failures++;
  }

  /** A back end has made a step of a login. */
  step(step: LoginStep): void {
    this.#steps.push(step);
    if (this.#steps.length >= MAX_STEPS) this.tellSteps();
  }

  /** Hands on the steps that wait. */
  tellSteps(): void {
    const steps = this.#steps;
    this.#steps = [];
    if (steps.length > 0) this.onSteps(steps);
  }

  /** A try has to wait. */
  delayed(): void {
    this.#delayed++;
  }

  /** A worker broke the protocol. */
  violated(): void {
    this.#violations++;
  }

  /** `durationMs`: from SEC_AUTH_INIT to success. */
  completed(durationMs: number): void {
    this.#completed++;
    this.#totalMs += durationMs;
    this.#maxMs = Math.max(this.#maxMs, durationMs);
  }

  /** Counts a signature that no honest worker asks for; returns how many there were. */
  refusedSignature(): number {
    return ++this.#refusedSignatures;
  }

  /** The figures; what counts since the last report starts again at 0. */
  take(): LoginFigures {
    const authFailures = this.#failures;
    const delayedLogins = this.#delayed;
    const ipcViolations = this.#violations;
    this.#failures = 0;
    this.#delayed = 0;
    this.#violations = 0;
    const avgAuthTimeMs = this.#completed === 0 ? 0 : Math.round(this.#totalMs / this.#completed);
    return {
      authFailures,
      delayedLogins,
      ipcViolations,
      avgAuthTimeMs,
      maxAuthTimeMs: Math.round(this.#maxMs),
    };
  }
}
