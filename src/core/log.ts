/**
 * Structured log of every process: JSON lines on stderr, a human format when stderr is a terminal, and JSON lines with
 * the priority in front when stderr is the journal (VPN_LOG_FORMAT=json|human|journal overrides; main passes its choice
 * on to its children).
 */
import { fstatSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type DestinationStream, type Logger, pino } from 'pino';
import type pinoPretty from 'pino-pretty';

export type { Logger };

/** pino level for ocserv's log-level 0..9. */
export function pinoLevel(logLevel: number): string {
  if (logLevel >= 4) return 'trace';
  return logLevel === 3 ? 'debug' : 'info';
}

const FORMATS = ['json', 'human', 'journal'] as const;
type Format = (typeof FORMATS)[number];

/** The format that is asked for, or that fits what stderr is. */
function logFormat(): Format {
  const wanted = FORMATS.find((format) => format === process.env.VPN_LOG_FORMAT);
  if (wanted) return wanted;
  if (process.stderr.isTTY === true) return 'human';
  return isJournal(process.env.JOURNAL_STREAM) ? 'journal' : 'json';
}

/** systemd tells device and inode of the stream that it gave the service (systemd.exec(5)); a redirection has others. */
function isJournal(stream: string | undefined): boolean {
  if (!stream) return false;
  const { dev, ino } = fstatSync(2);
  return stream === `${dev}:${ino}`;
}

/** sd-daemon(3): priority of the journal and of syslog for a level of pino. */
function priorityOf(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

/** Lines as the journal takes them. */
function journalStream(): DestinationStream & { lastLevel: number } {
  const stderr = pino.destination({ dest: 2, sync: true });
  return {
    [pino.symbols.needsMetadataGsym as never]: true,
    lastLevel: 0,
    write(line: string): void {
      stderr.write(`<${priorityOf(this.lastLevel)}>${line}`);
    },
  };
}

/** Root logger of one process; synchronous, so that nothing is lost at a crash. */
export function createLogger(role: string, logLevel: number): Logger {
  const base = { role, pid: process.pid };
  const options = { level: pinoLevel(logLevel), base, timestamp: pino.stdTimeFunctions.isoTime };
  const format = logFormat();
  if (format === 'journal') return pino(options, journalStream());
  if (format === 'json') return pino(options, pino.destination({ dest: 2, sync: true }));
  return pino(options, humanStream());
}

/** Lines for a terminal. What makes them is loaded only for them: every worker would pay for it. */
function humanStream(): DestinationStream {
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof pinoPretty;
  return pretty({
    destination: 2,
    sync: true,
    colorize: process.stderr.isTTY === true,
    ignore: 'pid,hostname,role',
    messageFormat: '{role}: {msg}',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
  });
}
