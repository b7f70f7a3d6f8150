/** Runs a program of the administrator: without a shell, with a time limit, never waited for by anything else. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ScriptCall {
  readonly command: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** It is killed with all that it started after this time. */
  readonly timeoutMs: number;
}

/** Runs it to its end. Returns null for exit status 0, otherwise what happened. Its stdout goes to our stderr. */
export function runScript({ command, args = [], env, timeoutMs }: ScriptCall): Promise<string | null> {
  return new Promise((resolve) => {
    // A process group of its own, so that what the script started can be killed with it.
    const child = spawn(command, [...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 2, 2],
      detached: true,
    });
    const limit = new AbortController();
    let timedOut = false;
    sleep(timeoutMs, null, { signal: limit.signal }).then(
      () => {
        timedOut = true;
        killGroup(child.pid);
      },
      () => {
        // It ended in time.
      },
    );
    child.once('error', (error) => {
      limit.abort();
      resolve(`${command} cannot be run: ${error.message}`);
    });
    child.once('exit', (code, signal) => {
      limit.abort();
      if (timedOut) resolve(`${command} did not end within ${timeoutMs / 1000} seconds`);
      else if (signal !== null) resolve(`${command} was ended by ${signal}`);
      else resolve(code === 0 ? null : `${command} ended with status ${code}`);
    });
  });
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    // Ended in this very moment.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
