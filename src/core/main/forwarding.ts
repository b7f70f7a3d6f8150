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

  /**
   * Turns on what is needed. Returns the settings that could not be made, as sysctl(8) takes them: in a container the
   * switches may be read-only. Throws the file system's error when the run directory cannot be written.
   */
  enable(): string[] {
    const now: Record<string, string> = {};
    if (this.#options.ipv6 && existsSync(join(this.#root, IPV6))) {
      for (const name of this.#acceptRa()) if (this.#read(name) === '1') now[name] = '2';
      now[IPV6] = '1';
    }
    if (this.#options.ipv4) now[IPV4] = '1';
    this.#before = this.#remembered();
    const changing = Object.entries(now).filter(([name, value]) => this.#read(name) !== value);
    for (const [name] of changing) this.#before[name] = this.#read(name);
    this.#remember();
    const failed = changing.filter(([name, value]) => !this.#tryWrite(name, value));
    for (const [name] of failed) delete this.#before[name];
    if (failed.length > 0) this.#remember();
    // Without forwarding, router advertisements are heeded as they were.
    const matters = failed.some(([name]) => name === IPV6)
      ? failed.filter(([name]) => !name.endsWith('accept_ra'))
      : failed;
    return matters.map(([name, value]) => `${name.replaceAll('/', '.')}=${value}`);
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

  #remember(): void {
    writeFileSync(this.#stateFile, JSON.stringify(this.#before), { mode: 0o600 });
  }

  #tryWrite(name: string, value: string): boolean {
    try {
      this.#write(name, value);
      return true;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (['EROFS', 'EACCES', 'EPERM'].includes(code)) return false;
      throw error;
    }
  }

  #write(name: string, value: string): void {
    writeFileSync(join(this.#root, name), value);
  }
}
