/** The case `flat`: what a login, a client at rest and a packet cost while ever more clients are connected. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Crowd } from './crowd.ts';
import type { Measured, Step } from './metrics.ts';
import { perThousand } from './scale.ts';
import { type Bench, SMALL_RATE, small } from './traffic.ts';

/** Clients connected at each step; the last is --clients. */
const SIZES = [10, 100, 1000];
/** Logins before the first step, so that the first ones are not those of a server that has just started. */
const WARM = 200;
/** At rest a server's processes cost something by themselves, so a client's part falls at first; with fewer it says nothing. */
const LEAST_AT_REST = 100;
/** Seconds between two liveness requests of a client over each channel. */
const DPD = 30;
/** Looks at a server at rest; the least counts, since processes give memory back once, some seconds after they were busy. */
const LOOKS = 5;

/** Server CPU while nothing but the clients' liveness requests comes: seconds per second. */
async function restRate({ meter, seconds }: Crowd): Promise<number> {
  const rates: number[] = [];
  while (rates.length < LOOKS) {
    const before = meter.cpuSeconds();
    const from = performance.now();
    await pause(seconds * 1000);
    rates.push((meter.cpuSeconds() - before) / ((performance.now() - from) / 1000));
  }
  return Math.min(...rates);
}

/** CPU seconds of one packet of 20,000 a second, without what the clients at rest cost meanwhile. */
async function perPacket(bench: Bench, rest: number): Promise<number> {
  const { packetsPerCpu = Number.NaN, arrivedShare = Number.NaN } = await small(bench, 'down');
  return 1 / packetsPerCpu - rest / ((SMALL_RATE * arrivedShare) / 100);
}

/** Opens what is missing to the next size, measures, and goes on while all stay connected. */
async function grow(crowd: Crowd, bench: Bench, sizes: readonly number[], steps: Step[]): Promise<void> {
  const [size, ...larger] = sizes;
  if (size === undefined) return;
  const clients = size - (steps.at(-1)?.clients ?? 0);
  const before = crowd.meter.cpuSeconds();
  await crowd.open({ clients, dtls: true, dpd: DPD }, async () => {
    const cpuPerLogin = (1000 * (crowd.meter.cpuSeconds() - before)) / clients;
    const rest = await restRate(crowd);
    const packetsPerCpu = 1 / (await perPacket(bench, rest));
    steps.push({ clients: size, cpuPerLogin, idleCpu: perThousand(rest, size), packetsPerCpu });
    await grow(crowd, bench, larger, steps);
  });
}

function growth(steps: readonly Step[], of: (step: Step) => number | undefined): number {
  return (of(steps.at(-1) as Step) ?? Number.NaN) / (of(steps[0] as Step) ?? Number.NaN);
}

export async function flat(crowd: Crowd): Promise<Measured> {
  const steps: Step[] = [];
  await crowd.open({ clients: WARM, dtls: true }, async () => undefined);
  await crowd.beside(async (bench) => {
    const sizes = [...SIZES.filter((size) => size < crowd.clients), crowd.clients];
    await grow(crowd, bench, sizes, steps);
  });
  return {
    loginGrowth: growth(steps, ({ cpuPerLogin }) => cpuPerLogin),
    restGrowth: growth(
      steps.filter(({ clients }) => clients >= LEAST_AT_REST),
      ({ idleCpu }) => idleCpu,
    ),
    packetGrowth: growth(steps, ({ packetsPerCpu }) => 1 / (packetsPerCpu ?? Number.NaN)),
    steps,
  };
}
