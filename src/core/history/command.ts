/** What `vpn history` does with its options. */
import { VpnError } from '../errors.js';
import { defaultHistoryFile } from './history.js';
import { historyText, parseTime, readHistory } from './read.js';

export interface HistoryCommand {
  readonly dataDir: string;
  readonly file?: string | undefined;
  readonly user?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly limit: number;
  readonly json: boolean;
}

/** What is printed. @throws VpnError OCS_HISTORY, OCS_HISTORY_TIME */
export function runHistory(command: HistoryCommand): string {
  const now = Math.floor(Date.now() / 1000);
  const { user, limit } = command;
  const since = timeOf(command.since, now);
  const until = timeOf(command.until, now);
  const path = command.file ?? defaultHistoryFile(command.dataDir);
  const rows = readHistory(path, { user, since, until, limit });
  return command.json ? JSON.stringify(rows, null, 2) : historyText(rows, now);
}

function timeOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  const time = parseTime(text, now);
  if (time === null) throw new VpnError('OCS_HISTORY_TIME', { text });
  return time;
}
