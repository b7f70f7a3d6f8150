/** Keeps a flood out of the log: says when something that repeats is due to be told again. */
const MAX_KEYS = 1024;

export class Quiet {
  readonly #now: () => number;
  readonly #period: number;
  /** Key → when it was told, the oldest first. */
  readonly #told = new Map<string, number>();

  /** `now` and `period` in the same unit. */
  constructor(now: () => number, period: number) {
    this.#now = now;
    this.#period = period;
  }

  /** True for the first time in each period. With too many keys the oldest are forgotten. */
  isDue(key: string): boolean {
    const last = this.#told.get(key);
    const now = this.#now();
    if (last !== undefined && now - last < this.#period) return false;
    this.#told.delete(key);
    this.#told.set(key, now);
    const [oldest] = this.#told.keys();
    if (this.#told.size > MAX_KEYS && oldest !== undefined) this.#told.delete(oldest);
    return true;
  }
}
