/**
 * Structured log of every process: JSON lines on stderr, a human format when stderr is a terminal, JSON lines with the
 * priority in front when stderr is the journal, or messages to syslog (VPN_LOG_FORMAT=json|human|journal|syslog
 * overrides; main passes its choice on to its children).
 */
import { createRequire } from 'node:module';
import { type DestinationStream, type Logger, pino } from 'pino';
import type pinoPretty from 'pino-pretty';
import { isJournal } from './util/stderr.js';
import { type SendDatagram, syslogSender } from './util/syslog.js';

export type { Logger };

/** pino level for ocserv's log-level 0..9. */
export function pinoLevel(logLevel: number): string {
  if (logLevel >= 4) return 'trace';
  return logLevel === 3 ? 'debug' : 'info';
}

const FORMATS = ['json', 'human', 'journal', 'syslog'] as const;
type Format = (typeof FORMATS)[number];

/** The format that is asked for, or that fits what stderr is. */
function logFormat(): Format {
  const wanted = FORMATS.find((format) => format === process.env.VPN_LOG_FORMAT);
  if (wanted) return wanted;
  if (process.stderr.isTTY === true) return 'human';
  return isJournal() ? 'journal' : 'json';
}

/**
 * Takes log-target and syslog-facility over, for this process and its children. What the environment says already stays: a
 * flag or a parent decided it.
 */
export function chooseLog(config: {
  readonly 'log-target': string;
  readonly 'syslog-facility': string;
}): void {
  if (config['log-target'] === 'syslog') process.env.VPN_LOG_FORMAT ??= 'syslog';
  // Workers get few of our variables, and cannot find out by themselves.
  process.env.VPN_LOG_FORMAT = logFormat();
  process.env.VPN_SYSLOG_FACILITY ??= config['syslog-facility'];
}

/** sd-daemon(3): priority of the journal and of syslog for a level of pino. */
function priorityOf(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

type LevelledStream = DestinationStream & { lastLevel: number };

/** Calls `write` with the line and its priority. */
function levelled(write: (line: string, priority: number) => void): LevelledStream {
  return {
    [pino.symbols.needsMetadataGsym as never]: true,
    lastLevel: 0,
    write(line: string): void {
      write(line, priorityOf(this.lastLevel));
    },
  };
}

/** Lines as the journal takes them. */
function journalStream(): LevelledStream {
  const stderr = pino.destination({ dest: 2, sync: true });
  return levelled((line, priority) => stderr.write(`<${priority}>${line}`));
}

/** Messages to syslog; on stderr what it does not take, because it is not there, or has too much to do. */
function syslogStream(send: SendDatagram): LevelledStream {
  const stderr = pino.destination({ dest: 2, sync: true });
  const toSyslog = syslogSender(send, process.env);
  return levelled((line, priority) => {
    if (!toSyslog(line.trimEnd(), priority)) stderr.write(line);
  });
}

/**
 * Root logger of one process; synchronous, so that nothing is lost at a crash. `send` (a datagram to a unix socket) is what
 * syslog needs; a process without it logs to stderr.
 */
export function createLogger(role: string, logLevel: number, send?: SendDatagram): Logger {
  const base = { role, pid: process.pid };
  const options = { level: pinoLevel(logLevel), base, timestamp: pino.stdTimeFunctions.isoTime };
  const format = logFormat();
  if (format === 'journal') return pino(options, journalStream());
  if (format === 'syslog' && send !== undefined) return pino(options, syslogStream(send));
  if (format !== 'human') return pino(options, pino.destination({ dest: 2, sync: true }));
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
