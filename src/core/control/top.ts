/** `vpn ctl top`: sessions with what they transfer now. */
import { setTimeout as sleep } from 'node:timers/promises';
import { callControl } from './client.js';
import { type CtlFlags, reportErrors, socketOf } from './command.js';
import { untilInterrupted } from './interrupt.js';
import type { Rate, StatusData, UserData } from './results.js';
import { formatAge, formatBytes, ratesText } from './text.js';

const CLEAR = '\u001b[H\u001b[2J';

/** Rates between two looks `seconds` apart, busiest first; a session that is new in the second has its average. */
export function rates(before: readonly UserData[], now: readonly UserData[], seconds: number): Rate[] {
  const known = new Map(before.map(({ id, session }) => [id, session]));
  const found = now.flatMap(({ id, session, remoteIp, connectedAt, now: time }): Rate[] => {
    if (session === null) return [];
    const old = known.get(id) ?? { rxBytes: 0, txBytes: 0 };
    const span = known.has(id) ? seconds : Math.max(1, time - connectedAt);
    return [
      {
        id,
        user: session.userName,
        ip: remoteIp,
        device: session.device,
        rx: (session.rxBytes - old.rxBytes) / span,
        tx: (session.txBytes - old.txBytes) / span,
        since: formatAge(time - connectedAt),
      },
    ];
  });
  return found.sort((a, b) => b.rx + b.tx - (a.rx + a.tx));
}

/** Shows and refreshes the view; `rounds` times, or until Ctrl-C with 0. With --json one line per look. */
export async function runTop(flags: CtlFlags, intervalSec: number, rounds: number): Promise<void> {
  const path = socketOf(flags);
  const show = async (signal: AbortSignal): Promise<void> => {
    let before = await callControl(path, 'users', {});
    for (let round = 1; ; round++) {
      await sleep(intervalSec * 1000, null, { signal });
      const [status, now] = [await callControl(path, 'status', {}), await callControl(path, 'users', {})];
      const current = rates(before, now, intervalSec);
      process.stdout.write(flags.json ? `${JSON.stringify(current)}\n` : `${screen(status, current)}\n`);
      if (round === rounds) return;
      before = now;
    }
  };
  await reportErrors(flags, () => untilInterrupted(show));
}

function screen(status: StatusData, current: readonly Rate[]): string {
  const sum = (of: (rate: Rate) => number) =>
    formatBytes(current.reduce((total, rate) => total + of(rate), 0));
  const lines = [
    `${status.activeSessions} sessions, ${status.connections} connections, up ${formatAge(status.now - status.upSince).trim()}`,
    `RX ${sum(({ rx }) => rx)}/s   TX ${sum(({ tx }) => tx)}/s   banned ${status.bannedIps}`,
    '',
    ...ratesText(current).split('\n'),
  ];
  if (!process.stdout.isTTY) return lines.join('\n');
  return CLEAR + fitting(lines, process.stdout.rows).join('\n');
}

/** What fits on a terminal of so many rows: the busiest sessions are the first. The cursor has the last row. */
export function fitting(lines: readonly string[], rows: number): string[] {
  if (lines.length < rows) return [...lines];
  const kept = lines.slice(0, Math.max(1, rows - 2));
  return [...kept, `… ${lines.length - kept.length} more`];
}
