/** Option ping-leases: an address that answers an echo request is somebody else's, whatever our table says. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Logger } from '../log.js';
import type { Lease } from './leases.js';

const run = promisify(execFile);
const WAIT_SEC = 1;
/** How long an address that answered is left alone. */
const REMEMBER_MS = 300_000;

export class LeasePing {
  readonly #log: Logger;
  readonly #nowMs: () => number;
  /** Address → when it may be tried again. */
  readonly #answered = new Map<string, number>();

  constructor(log: Logger, nowMs: () => number) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Whether it answered in the last minutes. */
  has(address: string): boolean {
    const until = this.#answered.get(address);
    if (until === undefined) return false;
    if (until > this.#nowMs()) return true;
    this.#answered.delete(address);
    return false;
  }

  /** Asks the lease's addresses; true if one answers, which is then remembered. */
  async answers({ ipv4, ipv6 }: Lease): Promise<boolean> {
    const addresses = [ipv4?.address, ipv6?.address].filter((address) => address !== undefined);
    const found = await Promise.all(addresses.map((address) => this.#ask(address)));
    return found.includes(true);
  }

  async #ask(address: string): Promise<boolean> {
    try {
      await run('ping', ['-n', '-q', '-c', '1', '-W', String(WAIT_SEC), address]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        this.#log.error('ping-leases has no effect: the ping program is not installed');
      }
      return false;
    }
    this.#log.info({ address }, 'address answers and is not leased (ping-leases)');
    this.#answered.set(address, this.#nowMs() + REMEMBER_MS);
    return true;
  }
}
