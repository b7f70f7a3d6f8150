/**
 * What runs out under an open tunnel: disk, descriptors, memory, tun devices, the place of a second server. A bystander pings
 * 50 times a second and loses nothing; what ran out is told in the log, and when it is there again all is as before. Ours only.
 */
import { existsSync, readdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { readHistory } from '../../src/core/history/read.js';
import { pidsOf } from '../support/census.ts';
import { setClock, withClock } from '../support/clock.ts';
import { tally } from '../support/fault-tally.ts';
import { inside, type Lab, openLab, outside } from '../support/lab.ts';
import { dataFolder, runFolder, serveCommand, serveOcvpn, statusOf } from '../support/ocvpn.ts';
import { connect, fetchCookie, type Openconnect, startClient } from '../support/openconnect.ts';
import { type Companion, must } from '../support/process.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { answeredAfter, expectNothingLost, ping, pinging, reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const carol = { on: 1, user: 'carol', password: 'carols' } as const;

interface Scene {
  readonly lab: Lab;
  readonly server: VpnServer;
  readonly bystander: Openconnect;
  readonly running: Companion;
}

async function openScene(setup: Parameters<typeof startServer>[2] = {}): Promise<Scene> {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', setup);
  const bystander = await connect(lab, server);
  return { lab, server, bystander, running: await pinging(bystander) };
}

/** A login of another user works, and the bystander has noticed nothing. */
async function expectWhole({ lab, server, bystander, running }: Scene): Promise<void> {
  const client = await connect(lab, server, carol);
  expect(await ping(client.host, inside.host4, { count: 2 })).toEqual({ sent: 2, received: 2 });
  await client.end('SIGINT');
  await expectNothingLost(running);
  expect(bystander.events().map(({ reason }) => reason)).not.toContain('reconnect');
}

/** File systems of 1 MB for the run directory and the data directory, which are full when the server has started. */
async function onSmallDisk(lab: Lab): Promise<Companion> {
  for (const folder of [runFolder(lab), dataFolder(lab)]) {
    await must(['mkdir', '-p', folder]);
    await must(['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=755', 'none', folder]);
    onTestFinished(async () => {
      await must(['umount', '-l', folder]);
    });
  }
  const main = await serveOcvpn(lab);
  for (const folder of [runFolder(lab), dataFolder(lab)]) fill(folder);
  return main;
}

const fillerOf = (folder: string): string => `${folder}/filler`;

function fill(folder: string): void {
  const { bsize, bavail } = statfsSync(folder);
  writeFileSync(fillerOf(folder), Buffer.alloc(bsize * bavail));
  expect(statfsSync(folder).bavail).toBe(0);
}

test('disk full: sessions come and go, and when there is room again nothing is forgotten', async () => {
  const scene = await openScene({ launch: onSmallDisk });
  const { lab, server, running } = scene;
  const cookie = await fetchCookie(lab, server, carol);
  for (const what of ['the state file', 'the state of main', 'the history'])
    await server.process.waitFor(new RegExp(`${what} cannot be (written|saved)`));
  await expectWhole(scene);
  for (const folder of [runFolder(lab), dataFolder(lab)]) rmSync(fillerOf(folder));
  // Without any further login.
  await server.process.waitFor(/the state file is written again/);
  await server.process.waitFor(/the state of main is saved again/);
  const { secmodPid = 0 } = await statusOf(lab);
  process.kill(secmodPid ?? 0, 'SIGKILL');
  await server.process.waitFor(/secmod is back/);
  const client = await connect(lab, server, { on: 1, cookie });
  await client.end('SIGINT');
  const tunnels = () => readHistory(`${dataFolder(lab)}/history.db`, { limit: 10, user: 'carol' });
  await until('the history to have both tunnels, also the one of the full disk', () => {
    const rows = tunnels();
    return rows.length === 2 && rows.every(({ reason }) => reason === 'user-disconnect');
  });
  await expectNothingLost(running);
  tally('disk full');
});

/** As the user of the process: root may not do it to others without CAP_SYS_RESOURCE. */
const limit = (pid: number, what: string): Promise<string> => {
  const { uid, gid } = statSync(`/proc/${pid}/task`);
  const asOwner = uid === 0 ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  return must([...asOwner, 'prlimit', '--pid', `${pid}`, what]);
};
const openCount = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

test('descriptors run out in main: the client is told, and gets in when there are some', async () => {
  const scene = await openScene();
  const { lab, server } = scene;
  const { pid } = await statusOf(lab);
  await limit(pid, `--nofile=${openCount(pid)}:`);
  const refused = startClient(lab, server, carol);
  await server.process.waitFor(/"level":50.*(out of descriptors|too many open files)/);
  await refused.process.stop('SIGKILL');
  await limit(pid, '--nofile=4096:');
  await expectWhole(scene);
  tally('descriptors run out in main');
});

const isWorker = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('\0worker\0');

/** A process and those that started it. */
function ancestorsOf(pid: number): number[] {
  const parent = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  return parent <= 1 ? [pid] : [pid, ...ancestorsOf(parent)];
}

/** Those that have nothing to do with the bystander's tunnel. */
async function idleWorkers({ lab, server }: Scene): Promise<number[]> {
  const [user] = await server.users();
  const busy = ancestorsOf(user?.workerPid ?? 0);
  const idle = (await pidsOf(lab)).filter((pid) => isWorker(pid) && !busy.includes(pid));
  expect(idle).not.toEqual([]);
  return idle;
}

test('descriptors run out in secmod: no worker can begin, until there are some', async () => {
  const scene = await openScene();
  const { lab, server } = scene;
  const { secmodPid } = await statusOf(lab);
  const secmod = secmodPid ?? 0;
  // Lower than what is open: the connection of the worker that is killed makes no room either.
  await limit(secmod, '--nofile=10:');
  for (const worker of await idleWorkers(scene)) process.kill(worker, 'SIGKILL');
  await server.process.waitFor(/"level":(40|50).*secmod/);
  await limit(secmod, '--nofile=4096:');
  await expectWhole(scene);
  tally('descriptors run out in secmod');
});

/** Workers that said that they are out of descriptors, and those that main said it of, once for each time. */
const outOfDescriptors = ({ server }: Scene): { said: number[]; told: number[] } => {
  const lines = server.process.output
    .split('\n')
    .filter((line) => line.includes('out of descriptors'))
    .map((line) => JSON.parse(line) as { role: string; pid: number; worker: number });
  return {
    said: lines.filter(({ role }) => role === 'worker').map(({ pid }) => pid),
    told: lines.filter(({ role, worker }) => role === 'main' && worker).map(({ worker }) => worker),
  };
};

test('descriptors run out in the workers that do the logins: each refuses one client, and new ones do the next', async () => {
  const scene = await openScene();
  const { lab, server } = scene;
  const session = (await server.users())[0]?.workerPid;
  const workers = (await pidsOf(lab)).filter((pid) => pid !== session && isWorker(pid));
  for (const worker of workers) await limit(worker, '--nofile=10:');
  let refused = 0;
  await until('a login by a worker that has descriptors', async () => {
    return await fetchCookie(lab, server, carol).catch(() => ++refused && false);
  });
  expect(refused).toBeGreaterThan(0);
  expect(refused).toBeLessThanOrEqual(workers.length);
  await expectWhole(scene);
  const { said, told } = outOfDescriptors(scene);
  expect(new Set(said).size).toBe(said.length);
  expect(told).toEqual(said);
  tally('descriptors run out in pooled workers');
});

test('descriptors run out in a shared worker: its tunnel goes on, one client is refused, and others take the next', async () => {
  const scene = await openScene({ options: { 'worker-clients': 64 } });
  const { lab, server } = scene;
  const worker = (await server.users())[0]?.workerPid ?? 0;
  // Lower than what is open: there are gaps.
  await limit(worker, '--nofile=10:');
  // The least loaded worker has the next connection: some have to stay in the others until it is this one.
  const open = `for i in 1 2 3 4 5 6; do exec {fd}<>/dev/tcp/${outside.server4}/443; printf '\\x16' >&$fd; done`;
  const others = lab.client(1).start('connections', ['bash', '-c', `${open}; exec sleep infinity`]);
  await server.process.waitFor(/"level":50,[^\n]*"role":"worker"[^\n]*out of descriptors/);
  // Still without descriptors, and the least loaded one.
  await others.stop('SIGKILL');
  for (let n = 0; n < 3; n++) await expectWhole(scene);
  const { said, told } = outOfDescriptors(scene);
  // Some of the six may have been on their way to it already.
  expect(new Set(said)).toEqual(new Set([worker]));
  expect(told).toEqual([worker]);
  await limit(worker, '--nofile=256:');
  await expectWhole(scene);
  expect((await server.users())[0]?.workerPid).toBe(worker);
  tally('descriptors run out in a shared worker');
});

test("memory runs out in workers, a session's process and secmod: only what they did ends", async () => {
  const scene = await openScene();
  const { lab, server } = scene;
  const { secmodPid } = await statusOf(lab);
  const from = server.process.output.length;
  await limit(secmodPid ?? 0, '--as=1000000:1000000');
  const waiting = startClient(lab, server, carol);
  for (let n = 0; n < 20 && (await statusOf(lab)).secmodPid === secmodPid; n++) {
    await fetchCookie(lab, server, carol).catch(() => undefined);
  }
  await server.process.waitFor(/secmod is back/, { from });
  await waiting.process.stop('SIGINT');
  await expectWhole(scene);
  tally('memory runs out in secmod');

  const workers = await idleWorkers(scene);
  for (const worker of workers) await limit(worker, '--as=1000000:');
  const lives = (pid: number): boolean => existsSync(`/proc/${pid}`);
  await until('a login to end one of them', async () => {
    await fetchCookie(lab, server, carol).catch(() => undefined);
    return !workers.every(lives);
  });
  for (const worker of workers.filter(lives)) await limit(worker, '--as=unlimited:');
  await server.process.waitFor(/"role":"main"[^\n]*"worker failed"/, { from });
  await expectWhole(scene);
  tally('memory runs out in a worker');

  const victim = await connect(lab, server, carol);
  const session = (await server.users()).find(({ name }) => name === 'carol')?.workerPid ?? 0;
  await limit(session, '--as=1000000:1000000');
  await ping(victim.host, inside.host4, { count: 2 });
  await victim.end('SIGINT');
  await expectWhole(scene);
  tally("memory runs out in a session's process", 1);
});

test('no tun device can be made: the client is told, and gets in when it can', async () => {
  const scene = await openScene();
  const { lab, server } = scene;
  const { pid } = await statusOf(lab);
  const there = ['nsenter', '-t', `${pid}`, '-m'];
  await must([...there, 'mount', '--bind', '/dev/null', '/dev/net/tun']);
  const refused = startClient(lab, server, carol);
  expect((await refused.process.ended()).code).not.toBe(0);
  await server.process.waitFor(/"level":50.*tun/i);
  await must([...there, 'umount', '/dev/net/tun']);
  await expectWhole(scene);
  tally('a tun device cannot be made');
});

const DAY = 86_400;

test('the clock jumps by a day, forth and back: tunnels, logins and reconnects go on', async () => {
  const scene = await openScene({ launch: withClock });
  const { lab, server, running } = scene;
  const client = await connect(lab, server, carol);
  const aheadDays = async (): Promise<number> =>
    Math.round(((await statusOf(lab)).now - Date.now() / 1000) / DAY);
  let reconnects = 0;
  for (const days of [1, -1]) {
    setClock(lab, days * DAY);
    await until('main to see the other time', async () => (await aheadDays()) === days);
    await answeredAfter(running, 50);
    client.process.signal('SIGUSR2');
    reconnects += 1;
    await client.event('reconnect', reconnects, 40_000);
    await reachable(client.host, inside.host4);
    await fetchCookie(lab, server, carol);
    tally(`the clock is ${days === 1 ? 'a day ahead' : 'a day behind'}`);
  }
  await client.end('SIGINT');
  await expectWhole(scene);
});

test('a second server in the same place: refused with a sentence, the first one notices nothing', async () => {
  const scene = await openScene();
  const { lab } = scene;
  const other = `${lab.folder}/other`;
  const places = [
    ['run directory and data', runFolder(lab), dataFolder(lab), [], /uses the run directory /],
    ['run directory', runFolder(lab), other, [], /uses the run directory /],
    ['data directory', other, dataFolder(lab), ['--port', '444'], /uses the data directory /],
    ['port', other, other, [], /port 443.* in use/],
  ] as const;
  for (const [place, run, data, args, sentence] of places) {
    const second = lab.server.start('second', [...serveCommand(lab, data), '--run-dir', run, ...args]);
    expect((await second.ended()).code, second.output).toBe(1);
    const told = second.output.split('\n').filter((line) => line.startsWith('vpn: '));
    expect(told).toEqual([expect.stringMatching(sentence)]);
    await expectNothingLost(scene.running);
    tally(`a second server on the same ${place}`);
  }
  await expectWhole(scene);
});
