/**
 * What is to be done for each tunnel every so many seconds, with one timer for all of them: thousands of timers that fire
 * one by one would wake an idle process all the time. The calls of a period are spread over it as the tunnels came.
 */

const TICK_MS = 1000;

interface Round {
  /** Between two calls. */
  readonly ticks: number;
  readonly call: () => void;
  ended: boolean;
}

export class Rounds {
  #tick = 0;
  /** By the tick of the next call. */
  readonly #due = new Map<number, Round[]>();
  #count = 0;
  #timer: NodeJS.Timeout | null = null;

  /** Calls every `seconds` (at least one) until the returned function is called. Never keeps the process running. */
  every(seconds: number, call: () => void): () => void {
    const round: Round = { ticks: Math.max(1, Math.round(seconds)), call, ended: false };
    this.#plan(round);
    this.#count++;
    this.#timer ??= setInterval(() => this.#next(), TICK_MS).unref();
    return () => this.#end(round);
  }

  #plan(round: Round): void {
    const tick = this.#tick + round.ticks;
    const others = this.#due.get(tick);
    if (others) others.push(round);
    else this.#due.set(tick, [round]);
  }

  #next(): void {
    const due = this.#due.get(++this.#tick) ?? [];
    this.#due.delete(this.#tick);
    for (const round of due) {
      if (round.ended) continue;
      this.#plan(round);
      round.call();
    }
  }

  #end(round: Round): void {
    if (round.ended) return;
    round.ended = true;
    this.#count--;
    if (this.#count > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
    this.#due.clear();
  }
}
