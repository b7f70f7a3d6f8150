/**
 * Kernel switches for forwarding (with option `nat`).
 *
 * Decision: a switch that was off is turned on and turned off again at exit, so that a machine that is no router
 * does not stay one; a switch that was on is left alone. What it was is written to the run directory first, so
 * that the server after a crash still knows. With IPv6 forwarding on, the kernel ignores router advertisements on
 * interfaces with accept_ra 1 and would lose its default route; those get 2 for the time being.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const CONF_IPV6 = 'net/ipv6/conf';
const IPV4 = 'net/ipv4/ip_forward';
const IPV6 = `${CONF_IPV6}/all/forwarding`;
const STATE = 'forwarding.json';

export interface ForwardingOptions {
  readonly runDir: string;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /** /proc/sys; another directory in tests. */
  readonly root?: string;
}

export class Forwarding {
  readonly #root: string;
  readonly #stateFile: string;
  readonly #options: ForwardingOptions;
  /** Switch → value before us. */
  #before: Record<string, string> = {};

  constructor(options: ForwardingOptions) {
    this.#options = options;
    this.#root = options.root ?? '/proc/sys';
    this.#stateFile = join(options.runDir, STATE);
  }

  /** Turns on what is needed. Throws the file system's error when a switch cannot be written. */
  enable(): void {
    const now: Record<string, string> = {};
    if (this.#options.ipv6 && existsSync(join(this.#root, IPV6))) {
      for (const name of this.#acceptRa()) if (this.#read(name) === '1') now[name] = '2';
      now[IPV6] = '1';
    }
    if (this.#options.ipv4) now[IPV4] = '1';
    this.#before = this.#remembered();
    for (const [name, value] of Object.entries(now)) {
      const old = this.#read(name);
      if (old !== value) this.#before[name] = old;
    }
    writeFileSync(this.#stateFile, JSON.stringify(this.#before), { mode: 0o600 });
    for (const [name, value] of Object.entries(now)) this.#write(name, value);
  }

  /** Puts back what enable() changed, now or in a server that did not get to it. */
  restore(): void {
    for (const [name, value] of Object.entries(this.#before)) {
      // An interface may be gone.
      if (existsSync(join(this.#root, name))) this.#write(name, value);
    }
    this.#before = {};
    rmSync(this.#stateFile, { force: true });
  }

  #acceptRa(): string[] {
    return readdirSync(join(this.#root, CONF_IPV6)).map((name) => `${CONF_IPV6}/${name}/accept_ra`);
  }

  #remembered(): Record<string, string> {
    if (!existsSync(this.#stateFile)) return {};
    const known = (name: string) =>
      name === IPV4 || /^net\/ipv6\/conf\/[^/]+\/(forwarding|accept_ra)$/.test(name);
    const saved = JSON.parse(readFileSync(this.#stateFile, 'utf8')) as Record<string, string>;
    return Object.fromEntries(
      Object.entries(saved).filter(([name, value]) => known(name) && /^\d$/.test(value)),
    );
  }

  #read(name: string): string {
    return readFileSync(join(this.#root, name), 'utf8').trim();
  }

  #write(name: string, value: string): void {
    writeFileSync(join(this.#root, name), value);
  }
}
