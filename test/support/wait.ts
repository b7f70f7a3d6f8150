/** Waiting for a condition, never for a time. */

/** Resolves after `milliseconds`; only for the pause between two looks at a condition. */
const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

export interface Deadline {
  /** Fails after this time; a bound for a broken run, not an expectation. Milliseconds. */
  readonly timeoutMs?: number;
  /** Between two looks. Milliseconds. */
  readonly everyMs?: number;
}

/**
 * Looks at `probe` until it returns something other than undefined and false, and returns that.
 * @throws Error that names `what`, and the probe's last error if it threw.
 */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  { timeoutMs = 20_000, everyMs = 50 }: Deadline = {},
): Promise<T> {
  const end = performance.now() + timeoutMs;
  let last: unknown;
  do {
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await pause(everyMs);
  } while (performance.now() < end);
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, { cause: last });
}
