/**
 * kill -9 and SIGSTOP of each process while a client is in each phase of its way: nobody but the victim notices, and the
 * next login works. A bystander pings 50 times a second all the time. Ours only.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tally } from '../support/fault-tally.ts';
import { inside, type Lab, openLab, outside } from '../support/lab.ts';
import { connectionsOf, serveOcvpn, statusOf } from '../support/ocvpn.ts';
import { connect, type Openconnect, startClient } from '../support/openconnect.ts';
import type { Phase } from '../support/phase-peer.ts';
import type { Companion } from '../support/process.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { answeredAfter, expectNothingLost, ping, pinging, reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const peer = join(import.meta.dirname, '../support/phase-peer.ts');
const phases = ['handshake', 'before-login', 'passwords'] as const satisfies readonly Phase[];
const VICTIM = 1;
const victimLogin = { on: VICTIM, user: 'carol', password: 'carols' } as const;

type Role = 'worker' | 'secmod' | 'main';

interface Scene {
  readonly lab: Lab;
  readonly server: VpnServer;
  readonly bystander: Openconnect;
  readonly running: Companion;
  /** The server's main of now. */
  main: Companion;
}

async function openScene(): Promise<Scene> {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn');
  const bystander = await connect(lab, server);
  return { lab, server, bystander, running: await pinging(bystander), main: server.process };
}

async function reach(lab: Lab, phase: Phase): Promise<Companion> {
  const client = lab.client(VICTIM).start(phase, [process.execPath, peer, outside.server4, phase]);
  await client.waitFor(/^reached$/m);
  return client;
}

/** Processes that serve the victim, or the one of the role. */
async function pidsOf(lab: Lab, role: Role): Promise<number[]> {
  if (role === 'worker') {
    return until('a process to serve the victim', async () => {
      const theirs = (await connectionsOf(lab)).filter(
        ({ remoteIp }) => remoteIp === outside.client4(VICTIM),
      );
      return theirs.length > 0 && theirs.map(({ workerPid }) => workerPid);
    });
  }
  const { pid, secmodPid } = await statusOf(lab);
  return [role === 'main' ? pid : (secmodPid ?? 0)];
}

/** Kills the role's process and waits until the server is whole again. */
async function kill(scene: Scene, role: Role, pids: readonly number[]): Promise<void> {
  const { lab, main } = scene;
  const from = main.output.length;
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  if (role === 'secmod') await main.waitFor(/secmod is back/, { from });
  if (role !== 'main') return;
  await main.ended();
  scene.main = await serveOcvpn(lab);
  await until('the bystander to be adopted', async () =>
    (await connectionsOf(lab)).some(({ session }) => session?.userName === 'alice'),
  );
}

/** A login of the victim works, and nobody else has noticed anything. */
async function expectWhole({ lab, server, bystander, running }: Scene): Promise<void> {
  const again = await connect(lab, server, victimLogin);
  expect(await ping(again.host, inside.host4, { count: 2 })).toEqual({ sent: 2, received: 2 });
  await again.end('SIGINT');
  await expectNothingLost(running);
  expect(bystander.events().map(({ reason }) => reason)).not.toContain('reconnect');
}

async function expectSameAddress(scene: Scene, victim: Openconnect, address: string): Promise<void> {
  await until('the victim to have its address again', async () => {
    const found = (await connectionsOf(scene.lab)).filter(
      ({ session }) => session?.userName === 'carol' && session.ipv4 === address,
    );
    return found.length === 1;
  });
  await reachable(victim.host, inside.host4);
}

test.for(['worker', 'secmod', 'main'] as const)('kill -9 of %s in every phase', async (role) => {
  const scene = await openScene();
  const { lab, server } = scene;
  for (const phase of phases) {
    const stuck = await reach(lab, phase);
    await kill(scene, role, await pidsOf(lab, role));
    if (role === 'worker') await stuck.waitFor(/^closed$/m);
    await stuck.stop('SIGKILL');
    await expectWhole(scene);
    tally(`kill -9 of ${role}: ${phase}`, role === 'worker' ? 1 : 0);
  }
  const victim = await connect(lab, server, victimLogin);
  const { INTERNAL_IP4_ADDRESS: address = '' } = await victim.event('connect');
  const theirs = await pinging(victim);
  await kill(scene, role, await pidsOf(lab, role));
  if (role === 'worker') await victim.event('reconnect');
  else await expectNothingLost(theirs);
  await theirs.stop('SIGINT');
  await expectSameAddress(scene, victim, address);
  tally(`kill -9 of ${role}: tunnel`);

  const pids = await pidsOf(lab, role);
  victim.process.signal('SIGUSR2');
  await victim.process.waitFor(/Reconnect|SSL negotiation|Connected to/i);
  await kill(scene, role, pids);
  await victim.event('reconnect', role === 'worker' ? 2 : 1, 40_000);
  await expectSameAddress(scene, victim, address);
  await victim.end('SIGINT');
  await expectWhole(scene);
  tally(`kill -9 of ${role}: reconnect`);
});

test('SIGSTOP of each process: tunnels of others go on, and what waited goes on after SIGCONT', async () => {
  const scene = await openScene();
  const { lab, server, running, bystander } = scene;
  for (const role of ['secmod', 'main'] as const) {
    const [pid = 0] = await pidsOf(lab, role);
    process.kill(pid, 'SIGSTOP');
    const victim = startClient(lab, server, victimLogin);
    await answeredAfter(running, 100);
    process.kill(pid, 'SIGCONT');
    await victim.connected();
    await victim.end('SIGINT');
    tally(`SIGSTOP of ${role}`);
  }
  const victim = await connect(lab, server, victimLogin);
  const [pid = 0] = await pidsOf(lab, 'worker');
  process.kill(pid, 'SIGSTOP');
  await answeredAfter(running, 100);
  process.kill(pid, 'SIGCONT');
  await reachable(victim.host, inside.host4);
  expect(victim.events().map(({ reason }) => reason)).not.toContain('reconnect');
  await victim.end('SIGINT');
  tally('SIGSTOP of worker');
  await expectNothingLost(running);
  expect(bystander.events().map(({ reason }) => reason)).not.toContain('reconnect');
});
