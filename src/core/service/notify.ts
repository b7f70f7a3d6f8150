/**
 * Tells a service manager how this process is doing, by the protocol of sd_notify(3): datagrams to the socket in
 * NOTIFY_SOCKET. Without that variable nothing is sent. systemd, s6 (with s6-notify-socket-from-fd), Podman and others
 * speak it.
 */
import type { Logger } from '../log.js';
import type { NativeIo } from '../native/types.js';

export interface ServiceNotifierOptions {
  readonly io: Pick<NativeIo, 'sendToUnix'>;
  readonly log: Logger;
  /** The variables are taken out of it: children and scripts must not speak for us. */
  readonly env: NodeJS.ProcessEnv;
  /** CLOCK_MONOTONIC, microseconds. */
  readonly monotonicUsec: () => bigint;
}

/** CLOCK_MONOTONIC, as sd_notify(3) wants them with RELOADING=1. */
const monotonicUsec = (): bigint => process.hrtime.bigint() / 1000n;

export class ServiceNotifier {
  readonly #options: ServiceNotifierOptions;
  readonly #socket: string;
  readonly #watchdogMs: number;
  #watchdog: NodeJS.Timeout | null = null;
  #failed = false;
  #stopping = false;

  constructor(
    options: Omit<ServiceNotifierOptions, 'env' | 'monotonicUsec'> & Partial<ServiceNotifierOptions>,
  ) {
    const { env = process.env } = options;
    this.#options = { monotonicUsec, ...options, env };
    this.#socket = env.NOTIFY_SOCKET ?? '';
    this.#watchdogMs = watchdogInterval(env);
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
  }

  /** The service does its work, or a reload is over; the watchdog is fed from now on. */
  ready(status?: string): void {
    if (this.#stopping) return;
    this.#send({ READY: '1', ...(status !== undefined && { STATUS: status }) });
    if (this.#watchdogMs === 0 || this.#watchdog !== null) return;
    // Sent from the event loop: a loop that hangs sends nothing.
    this.#watchdog = setInterval(() => this.#send({ WATCHDOG: '1' }), this.#watchdogMs);
    this.#watchdog.unref();
    this.#send({ WATCHDOG: '1' });
  }

  /** The configuration is being read again, until ready(). */
  reloading(): void {
    if (this.#stopping) return;
    this.#send({ RELOADING: '1', MONOTONIC_USEC: String(this.#options.monotonicUsec()) });
  }

  /** The orderly end has begun. */
  stopping(status: string): void {
    this.#stopping = true;
    this.#send({ STOPPING: '1', STATUS: status });
  }

  close(): void {
    if (this.#watchdog) clearInterval(this.#watchdog);
    this.#watchdog = null;
  }

  #send(fields: Readonly<Record<string, string>>): void {
    if (this.#socket === '') return;
    const { io, log } = this.#options;
    try {
      io.sendToUnix(
        this.#socket,
        Object.entries(fields)
          .map(([name, value]) => `${name}=${value}`)
          .join('\n'),
      );
      this.#failed = false;
    } catch (error) {
      // The manager's queue may be full, or it restarts itself: the next message is tried again.
      if (!this.#failed) log.warn({ err: error }, 'the service manager was not told');
      this.#failed = true;
    }
  }
}

/** Half of WATCHDOG_USEC in milliseconds, as systemd.service(5) recommends; 0 without a watchdog for this process. */
function watchdogInterval({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv): number {
  if (WATCHDOG_PID !== undefined && Number(WATCHDOG_PID) !== process.pid) return 0;
  const usec = Number(WATCHDOG_USEC);
  return Number.isSafeInteger(usec) && usec > 0 ? Math.max(1, Math.floor(usec / 2000)) : 0;
}
