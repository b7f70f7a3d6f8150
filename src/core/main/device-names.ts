/**
 * Names of tun devices. Asked for a pattern, the kernel looks at every device of the machine for the lowest free number, at each
 * login; here it is known which ones are likely to be free, and only when one is not the kernel is asked.
 */
export class DeviceNames {
  readonly #prefix: string;
  /** Given back; the newest is taken first. */
  readonly #free: number[] = [];
  #next = 0;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** `open` makes a device of an exact name, or of a pattern with %d. Throws what it throws for the pattern. */
  open<D extends { readonly name: string }>(open: (name: string) => D): D {
    const number = this.#free.pop() ?? this.#next++;
    try {
      return open(`${this.#prefix}${number}`);
    } catch {
      // Somebody else's, one of an earlier main, or one that its worker has not closed yet.
      return this.#openLowest(open, number);
    }
  }

  /** The device will be gone soon. */
  release(name: string): void {
    const number = this.#numberOf(name);
    if (number !== null) this.#free.push(number);
  }

  /** Numbers that were lost come back here: the kernel takes the lowest. */
  #openLowest<D extends { readonly name: string }>(open: (name: string) => D, tried: number): D {
    try {
      const device = open(`${this.#prefix}%d`);
      this.#next = Math.max(this.#next, (this.#numberOf(device.name) ?? 0) + 1);
      return device;
    } catch (error) {
      this.#free.push(tried);
      throw error;
    }
  }

  #numberOf(name: string): number | null {
    const digits = name.startsWith(this.#prefix) ? name.slice(this.#prefix.length) : '';
    return /^\d{1,9}$/.test(digits) ? Number(digits) : null;
  }
}
