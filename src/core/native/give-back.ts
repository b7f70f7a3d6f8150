/**
 * Memory after a rush. V8 and the C library keep what thousands of logins needed, garbage included, as long as nothing
 * makes them look: on a server full of clients that rest it would be a third of all memory. Once the JavaScript of this
 * process has become calm, the heap is cleaned and made small, and free pages go back to the kernel.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { NativeIo } from './types.js';

const LOOK_MS = 5000;
/** A look at which this thread has used more of a core since the last one finds it busy. */
const BUSY_SHARE = 0.04;
/** A new space below this is not worth a collection. Bytes. */
const LARGE_NEW_SPACE = 4 << 20;

/** Looks every few seconds (`lookMs`) from now on; never keeps the process running. */
export function giveBackMemory(io: Pick<NativeIo, 'trimMemory'>, lookMs = LOOK_MS): void {
  let before = process.threadCpuUsage();
  let wasBusy = true;
  setInterval(() => {
    const { user, system } = process.threadCpuUsage(before);
    const busy = user + system > BUSY_SHARE * lookMs * 1000;
    if (wasBusy && !busy) {
      if (newSpace() >= LARGE_NEW_SPACE) collectAll();
      io.trimMemory();
    }
    wasBusy = busy;
    before = process.threadCpuUsage();
  }, lookMs).unref();
}

/** What V8 holds for new objects, used or not. */
function newSpace(): number {
  const found = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
  return found?.physical_space_size ?? 0;
}

/** The only collection after which V8 gives the new space up. */
function collectAll(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as NodeJS.GCFunction;
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
