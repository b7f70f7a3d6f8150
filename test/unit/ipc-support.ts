/** Helpers of the IPC tests: silent logs, handlers that refuse, descriptor counts. */
import { readdirSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Handlers } from '../../src/core/ipc/api.js';
import type { Role } from '../../src/core/ipc/messages.js';
import type { Logger } from '../../src/core/log.js';

export interface LogLine {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string;
}

/** A logger that keeps its lines. */
export function recordingLog(): { log: Logger; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const write = (level: string) => (fields: Record<string, unknown>, text: string) => {
    lines.push({ level, fields, text });
  };
  const log = {
    isLevelEnabled: () => true,
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  } as unknown as Logger;
  return { log, lines };
}

/** Handlers for some messages; any other message fails in the dispatcher, which the log shows. */
export function only<Self extends Role, Peer extends Role>(
  handlers: Partial<Handlers<Self, Peer>>,
): Handlers<Self, Peer> {
  return handlers as Handlers<Self, Peer>;
}

/** Open descriptors of this process. */
export function openFds(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Lets the loop turn until `condition` holds; the test's own time limit ends it otherwise. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}
