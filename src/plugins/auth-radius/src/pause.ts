import { setTimeout as sleep } from 'node:timers/promises';

/** Rejects with AbortError when `signal` is aborted. Keeps no process alive. */
export async function pause(milliseconds: number, signal: AbortSignal | null): Promise<void> {
  await sleep(milliseconds, undefined, { ref: false, ...(signal && { signal }) });
}
