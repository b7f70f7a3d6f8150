/** Sentences for people on stderr, and whether that is the journal. */
import { fstatSync } from 'node:fs';

/** sd-daemon(3). */
const PRIORITIES = { error: 3, notice: 4 } as const;

/** stderr is what systemd gave the service as `JOURNAL_STREAM`, by device and inode (systemd.exec(5)); a redirection has others. */
export function isJournal(): boolean {
  const stream = process.env.JOURNAL_STREAM;
  if (!stream) return false;
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}

/** Writes `text` to stderr, in the journal with a priority, so that it is found by it. */
export function tell(level: keyof typeof PRIORITIES, text: string): void {
  const mark = isJournal() ? `<${PRIORITIES[level]}>` : '';
  process.stderr.write(`${text.replaceAll(/^/gm, mark)}\n`);
}
