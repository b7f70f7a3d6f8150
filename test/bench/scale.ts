/** The case `scale`: a crowd at rest, then a part of it active; what it costs and how long the administrator waits. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Crowd, OpenCrowd } from './crowd.ts';
import type { Measurement } from './metrics.ts';
import { median } from './statistics.ts';
import { commandSeconds, settled } from './usage.ts';

/** One client in so many is active. */
const ACTIVE_PART = 10;
/** Seconds between two liveness requests of a client over each channel. */
const DPD = 30;
/** After the last login: processes that have become calm give memory back. */
const REST_MS = 15_000;
/** Commands that are timed; the median counts. */
const ASKED = 3;

/** % of a core for 1,000 clients. */
export const perThousand = (cpuPerSecond: number, clients: number): number =>
  (100 * cpuPerSecond) / (clients / 1000);

async function cpuDuring({ meter, seconds }: Crowd, clients: number): Promise<number> {
  const before = meter.cpuSeconds();
  const from = performance.now();
  await pause(seconds * 1000);
  const took = (performance.now() - from) / 1000;
  return perThousand((meter.cpuSeconds() - before) / took, clients);
}

/** Milliseconds of a command. */
interface Asked {
  /** Until the last byte of the answer is there. */
  readonly took: number;
  /** CPU of the command itself. */
  readonly cpu: number;
}

async function timed(ask: () => Promise<number>, expected: number): Promise<Asked> {
  const times: number[] = [];
  const cpuBefore = commandSeconds();
  for (let i = 0; i < ASKED; i++) {
    const from = performance.now();
    const found = await ask();
    times.push(performance.now() - from);
    if (found !== expected) throw new Error(`${expected} clients are connected, the server lists ${found}`);
  }
  return { took: median(times), cpu: (1000 * (commandSeconds() - cpuBefore)) / ASKED };
}

/** Traffic of a part of the clients, with the commands beside it. */
async function active(crowd: Crowd, open: OpenCrowd): Promise<Measurement> {
  const { clients, seconds, listed, status } = crowd;
  open.startTraffic();
  const activeCpu = await cpuDuring(crowd, clients);
  const { took: activeControlMs } = await timed(listed, clients);
  const { took: activeStatusMs } = await timed(status, clients);
  const told = await open.stopTraffic();
  if (told.ended > 0) throw new Error(`the server ended ${told.ended} sessions`);
  return {
    activeCpu,
    activeControlMs,
    activeStatusMs,
    echoShare: (100 * told.echo.answered) / told.echo.sent,
    echoRate: told.echo.sent / seconds,
    dpdShare: (100 * told.dpd.answered) / told.dpd.sent,
  };
}

export async function scale(crowd: Crowd): Promise<Measurement> {
  const { meter, clients, listed, status, open } = crowd;
  const memoryBefore = meter.memoryBytes();
  const cpuBefore = meter.cpuSeconds();
  let measured: Measurement = {};
  const request = { clients, dtls: true, dpd: DPD, active: Math.ceil(clients / ACTIVE_PART) };
  const took = await open(request, async (held) => {
    const cpu = meter.cpuSeconds() - cpuBefore;
    await pause(REST_MS);
    const memoryAfter = await settled(() => meter.memoryBytes());
    const idleCpu = await cpuDuring(crowd, clients);
    const list = await timed(listed, clients);
    const short = await timed(status, clients);
    measured = {
      cpuPerLogin: (1000 * cpu) / clients,
      idleCpu,
      controlMs: list.took,
      controlCpu: list.cpu,
      statusMs: short.took,
      statusCpu: short.cpu,
      ...(memoryBefore === undefined || memoryAfter === undefined
        ? {}
        : { kbPerClient: (memoryAfter - memoryBefore) / clients / 1024 }),
      ...(await active(crowd, held)),
    };
  });
  return { ...measured, loginsPerSecond: clients / took };
}
