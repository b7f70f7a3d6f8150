/** What main asks of secmod. */
import { VpnError } from '../errors.js';
import type { Channel, Handlers } from '../ipc/api.js';
import type { Logger } from '../log.js';
import type { Sessions } from './sessions.js';
import type { Vhosts } from './vhosts.js';

/** SECM_RELOAD_REPLY carries so much. */
const MAX_REASON_BYTES = 4096;

export type MainChannel = Channel<'secmod', 'main'>;

/** What of secmod is main's to use. */
interface ForMain {
  readonly sessions: Sessions;
  readonly vhosts: Pick<Vhosts, 'names'>;
  readonly log: Logger;
  startup(main: MainChannel, hmacKey: Uint8Array, workerUid: number): Promise<void>;
  reload(): Promise<void>;
  reloadKeys(): Promise<void>;
}

export function mainHandlers(secmod: ForMain): Handlers<'secmod', 'main'> {
  const { sessions, log } = secmod;
  return {
    SECM_STARTUP: async ({ hmacKey, workerUid }, { channel }) => {
      await secmod.startup(channel, hmacKey, workerUid);
      return { vhosts: secmod.vhosts.names };
    },
    SECM_SESSION_OPEN: (body) => sessions.open(body),
    SECM_SESSION_RESUME: (body) => sessions.resume(body),
    SECM_LIST_LEASES: () => sessions.leases(),
    SECM_SESSION_ADDRESSES: (body) => sessions.setAddresses(body),
    SECM_SESSION_CLOSE: (body) => sessions.close(body),
    SECM_LIST_COOKIES: async () => ({ cookies: await sessions.cookies() }),
    SECM_RELOAD: async ({ keysOnly }) => {
      try {
        await (keysOnly ? secmod.reloadKeys() : secmod.reload());
        return { ok: true, reason: '' };
      } catch (error) {
        log.error({ err: error }, 'reload failed, the old configuration stays');
        return {
          ok: false,
          reason: bounded(error instanceof VpnError ? error.say : (error as Error).message),
        };
      }
    },
    SECM_TERMINATE_USER_SESSIONS: async ({ userName }) => ({
      count: await sessions.terminate((session) => session.userName === userName),
    }),
    SECM_TERMINATE_SESSION: async ({ safeId }) => ({
      count: await sessions.terminate((session) => session.safeId === safeId),
    }),
  };
}

function bounded(text: string): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(MAX_REASON_BYTES));
  return text.slice(0, read);
}
