/** The cases `logins` and `memory`: what it costs when clients come and when they stay. */
import type { Crowd } from './crowd.ts';
import type { Measurement } from './metrics.ts';
import { type RoleSeconds, settled } from './usage.ts';

/** Logins of a server before it counts as warm: by then its hot functions are compiled and its heaps have their size. */
const WARM = 200;

/** Server CPU of one login. Milliseconds. */
interface LoginCost extends RoleSeconds {
  readonly all: number;
}

/** Opens sessions; `held` runs while they are open. Returns the seconds that opening took. */
function logIn(
  { meter, open }: Crowd,
  clients: number,
  held: (cost: LoginCost) => Promise<void>,
): Promise<number> {
  const read = (): LoginCost => ({ all: meter.cpuSeconds(), ...meter.roleSeconds() });
  const before = read();
  return open({ clients, dtls: false }, async () => {
    const after = read();
    const each = (role: keyof LoginCost): number => (1000 * (after[role] - before[role])) / clients;
    await held({ all: each('all'), main: each('main'), secmod: each('secmod'), workers: each('workers') });
  });
}

/** Logins after whatever was opened before. */
async function next(crowd: Crowd): Promise<Measurement> {
  const { clients } = crowd;
  let measured: Measurement = {};
  const seconds = await logIn(crowd, clients, async ({ all, main, secmod, workers }) => {
    measured = {
      cpuPerLogin: all,
      mainCpuPerLogin: main,
      secmodCpuPerLogin: secmod,
      workerCpuPerLogin: workers,
      clientCpuPerLogin: all - main - secmod - workers,
    };
  });
  return { ...measured, loginsPerSecond: clients / seconds };
}

/**
 * The first logins of a fresh server, and as many after others. Earlier sessions stay open meanwhile, so that their end
 * is in no reading.
 */
export async function logins(crowd: Crowd): Promise<Measurement> {
  const { clients } = crowd;
  let measured: Measurement = {};
  await logIn(crowd, clients, async (cold) => {
    await logIn(crowd, Math.max(1, WARM - clients), async () => {
      measured = { cpuPerFirstLogin: cold.all, ...(await next(crowd)) };
    });
  });
  return measured;
}

/** Logins of a server that has so many sessions already. */
export const loginsAmong =
  (sessions: number) =>
  async (crowd: Crowd): Promise<Measurement> => {
    let measured: Measurement = {};
    await crowd.open({ clients: sessions, dtls: false }, async () => {
      measured = await next(crowd);
    });
    return measured;
  };

/** Sessions that are open meanwhile, so that what is made once (caches, warm workers) is in neither reading. */
const FIRST_CLIENTS = 5;

export async function memory({ meter, clients, open }: Crowd): Promise<Measurement> {
  let before: number | undefined;
  let after: number | undefined;
  await open({ clients: FIRST_CLIENTS, dtls: true }, async () => {
    before = await settled(() => meter.memoryBytes());
    await open({ clients, dtls: true }, async () => {
      after = await settled(() => meter.memoryBytes());
    });
  });
  if (before === undefined || after === undefined) return {};
  return { kbPerClient: (after - before) / clients / 1024 };
}
