/** Search for a private key in the memory of a process. Needs root or the process's own user. */
import { createPrivateKey } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** Enough of a number to be unique. */
const NEEDLE_BYTES = 16;
const STEP_BYTES = 16 << 20;

/**
 * What shows that a process holds a key: the first bytes of each secret number in both byte orders (bignums are little
 * endian) and a piece of the PEM text. The keys of the map are names for a message.
 */
export function secretsOf(name: string, pem: Buffer | string): Map<string, Buffer> {
  const jwk = createPrivateKey(pem).export({ format: 'jwk' }) as Record<string, string | undefined>;
  const found = new Map<string, Buffer>();
  for (const number of ['d', 'p', 'q', 'dp', 'dq', 'qi']) {
    const value = jwk[number];
    if (value === undefined) continue;
    const bytes = Buffer.from(value, 'base64url');
    found.set(`${name}.${number}`, bytes.subarray(0, NEEDLE_BYTES));
    found.set(`${name}.${number} reversed`, Buffer.from(bytes).reverse().subarray(0, NEEDLE_BYTES));
  }
  const lines = pem.toString().split('\n');
  const body = lines[2]?.startsWith('-') ? lines[1] : lines[2];
  found.set(`${name} PEM`, Buffer.from(body?.slice(-40) ?? ''));
  return found;
}

/** Address ranges of a process that hold data of its own: resident, and no pages of unchanged files (proc(5), smaps). */
function regions(pid: number): { start: number; end: number }[] {
  const entries = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return entries.flatMap((entry) => {
    const found = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/m.exec(entry);
    if (!found) return [];
    const [, start = '', end = '', modes = '', file = ''] = found;
    const untouched = /^Rss:\s+0 kB$/m.test(entry);
    if (untouched || !modes.startsWith('r') || file.startsWith('[v')) return [];
    if (file.startsWith('/') && !modes.startsWith('rw')) return [];
    return [{ start: Number.parseInt(start, 16), end: Number.parseInt(end, 16) }];
  });
}

/** The process gave a region back after the list of them was read. */
class RegionGone extends Error {}

/** A piece of a process's memory. @throws RegionGone */
function read(fd: number, at: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let got = 0;
  try {
    got = readSync(fd, buffer, 0, bytes, at);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error;
  }
  if (got < bytes)
    throw new RegionGone(`only ${got} of ${bytes} bytes at 0x${at.toString(16)} could be read`);
  return buffer;
}

/** The memory of a process in pieces that overlap by more than a needle. @throws RegionGone */
function* memory(pid: number): Generator<Buffer> {
  const fd = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const { start, end } of regions(pid)) {
      for (let at = start; at < end; at += STEP_BYTES) {
        yield read(fd, at, Math.min(STEP_BYTES + NEEDLE_BYTES * 4, end - at));
      }
    }
  } finally {
    closeSync(fd);
  }
}

/** A process at work gives memory back now and then: the next look finds all of it. */
const LOOKS = 10;

/** Names of the wanted secrets that are in the memory of a process. */
export function secretsIn(pid: number, wanted: ReadonlyMap<string, Buffer>): Set<string> {
  const found = new Set<string>();
  for (let looks = 1; ; looks++) {
    try {
      for (const region of memory(pid)) {
        for (const [name, bytes] of wanted) if (region.includes(bytes)) found.add(name);
      }
      return found;
    } catch (error) {
      if (!(error instanceof RegionGone) || looks === LOOKS) throw error;
    }
  }
}
