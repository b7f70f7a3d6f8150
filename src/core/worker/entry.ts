/**
 * Entry of `vpn worker`. Nothing that it can reach knows of passwords, private keys or plugins; that is checked by
 * the boundaries test.
 */
import { connectIpc } from '../ipc/channel.js';
import { createLogger, type Logger } from '../log.js';
import { giveBackMemory } from '../native/give-back.js';
import { native } from '../native/index.js';
import { leaveRings } from '../native/rings.js';
import { acceptTlsDuplex } from '../native/tls-duplex.js';
import { parseWorkerArguments, type WorkerArguments } from './arguments.js';
import type { ClientDeps } from './client-deps.js';
import { lockDown } from './lockdown.js';
import { SecmodLink } from './secmod-link.js';
import { Worker } from './worker.js';

/** How long sent messages may take to leave before the process ends anyway. */
const FLUSH_MS = 2000;

/** Runs until the worker has nothing left to do; sets the exit code. */
export async function runWorker(argv: readonly string[]): Promise<void> {
  let log = createLogger('worker', 2, native.io.sendToUnix);
  try {
    const args = parseWorkerArguments(argv);
    log = createLogger('worker', args.logLevel, native.io.sendToUnix);
    await serve(args, log);
  } catch (error) {
    log.fatal({ err: error }, error instanceof Error ? error.message : String(error));
    // Nothing is on its way to anybody.
    process.exit(1);
  }
  // Open handles must not keep the process.
  setTimeout(() => process.exit(), FLUSH_MS).unref();
}

async function serve({ mainPath, fd }: WorkerArguments, log: Logger): Promise<void> {
  leaveRings(fd);
  const worker = new Worker({
    native,
    secmod: new SecmodLink(connectIpc, log),
    log,
    openStream,
    lockDown: (options) => lockDown(native.io, options),
    connectMain: (options) => connectIpc(mainPath, options),
    fd,
    now: Date.now,
    random: Math.random,
  });
  giveBackMemory(native.io);
  // A vanished terminal or reader of the log is no reason to end tunnels.
  for (const signal of ['SIGHUP', 'SIGPIPE'] as const) process.on(signal, () => undefined);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => worker.stop());
  await Promise.all([worker.start(), worker.done]);
}

const openStream: ClientDeps['openStream'] = (vhosts, fd, startup, handlers) => {
  vhosts.default.context.setTicketKeys(startup.ticketKeys, startup.ticketLifetime);
  return acceptTlsDuplex(vhosts.default.context, fd, handlers);
};
