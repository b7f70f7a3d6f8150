/** What `vpn doctor` has found. */
import type { ServerConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';

/** error: the server will not start or not work; warning: some clients or some traffic will suffer; hint: it could be faster. */
export type Level = 'ok' | 'hint' | 'warning' | 'error';

export interface Finding {
  /** What was looked at: `tun`, `ports`, … */
  readonly check: string;
  readonly level: Level;
  /** What is there, a sentence. */
  readonly say: string;
  /** What to do about it; '' when nothing. */
  readonly mend: string;
}

export interface Patient {
  readonly config: ServerConfig;
  readonly dataDir: string;
  readonly runDir: string;
  /** Process id of the server that answers on this run directory, null: none does. */
  readonly running: number | null;
}

/** One look at something; it does not throw for what it is there to find. */
export type Check = (patient: Patient) => Promise<Finding[]> | Finding[];

export const ok = (check: string, say: string): Finding => ({ check, level: 'ok', say, mend: '' });
export const hint = (check: string, say: string, mend: string): Finding => ({
  check,
  level: 'hint',
  say,
  mend,
});
export const warning = (check: string, say: string, mend: string): Finding => ({
  check,
  level: 'warning',
  say,
  mend,
});
export const failure = (check: string, say: string, mend: string): Finding => ({
  check,
  level: 'error',
  say,
  mend,
});

/** An error of the catalogue as a finding. Anything else is thrown on. */
export function caught(check: string, error: unknown, level: Level = 'error'): Finding {
  if (!(error instanceof VpnError)) throw error;
  return { check, level, say: error.say, mend: error.mend };
}
