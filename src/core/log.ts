/**
 * Structured log of every process: JSON lines on stderr, or a human format when stderr is a terminal
 * (VPN_LOG_FORMAT=json|human overrides; main passes its choice on to its children).
 */
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type { Logger };

/** pino level for ocserv's log-level 0..9. */
export function pinoLevel(logLevel: number): string {
  if (logLevel >= 4) return 'trace';
  return logLevel === 3 ? 'debug' : 'info';
}

/** True when lines for people are wanted. */
export function humanFormat(): boolean {
  const wanted = process.env.VPN_LOG_FORMAT;
  return wanted ? wanted === 'human' : process.stderr.isTTY === true;
}

/** Root logger of one process; synchronous, so that nothing is lost at a crash. */
export function createLogger(role: string, logLevel: number): Logger {
  const base = { role, pid: process.pid };
  const options = { level: pinoLevel(logLevel), base, timestamp: pino.stdTimeFunctions.isoTime };
  if (!humanFormat()) return pino(options, pino.destination({ dest: 2, sync: true }));
  const stream = pretty({
    destination: 2,
    sync: true,
    colorize: process.stderr.isTTY === true,
    ignore: 'pid,hostname,role',
    messageFormat: '{role}: {msg}',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l',
  });
  return pino(options, stream);
}
