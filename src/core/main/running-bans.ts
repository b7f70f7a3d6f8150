/** The table of bans of a running server: its options may change with a reload, and each ban is logged and kept. */
import type { Logger } from '../log.js';
import { type BanEntry, BanTable } from './bans.js';
import type { MainState } from './main-state.js';
import { localAddressCheck } from './preflight.js';
import type { RunningConfig } from './running-config.js';
import type { ServerStats } from './server-stats.js';

export interface RunningBansOptions {
  readonly running: RunningConfig;
  readonly stats: Pick<ServerStats, 'banned'>;
  readonly state: Pick<MainState, 'savedBans' | 'touch'>;
  readonly log: Logger;
  /** Seconds since the epoch. */
  readonly now: () => number;
  readonly nowMs: () => number;
}

/** The table with the bans of the main before. */
export function runningBans({ running, stats, state, log, now, nowMs }: RunningBansOptions): BanTable {
  const bans = new BanTable({
    // Read anew at each use.
    get maxScore() {
      return running.main['max-ban-score'];
    },
    get banTimeSec() {
      return running.main['ban-time'];
    },
    get resetTimeSec() {
      return running.main['ban-reset-time'];
    },
    now,
    isLocal: localAddressCheck(nowMs),
    onChange: (entry) => {
      logChange(log, entry);
      if (entry.expires !== 0) stats.banned();
      state.touch();
    },
  });
  bans.restore(state.savedBans);
  return bans;
}

function logChange(log: Logger, { ip, score, expires }: BanEntry): void {
  if (expires === 0) log.info({ ip }, 'ban lifted');
  else log.info({ ip, score, until: new Date(expires * 1000).toISOString() }, 'address banned');
}
