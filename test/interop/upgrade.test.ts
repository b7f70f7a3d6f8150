/**
 * The npm package as users get it: packed, installed, and replaced by another version under a tunnel that carries 50 pings
 * a second. Ours only.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inside, type Lab, openLab } from '../support/lab.ts';
import { runFolder, serveCommand, statusOf } from '../support/ocvpn.ts';
import { connect } from '../support/openconnect.ts';
import { type Companion, must } from '../support/process.ts';
import { startServer } from '../support/server.ts';
import { expectNothingLost, ping, pinging } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const project = join(import.meta.dirname, '../..');
const LONG_MS = 180_000;

/** Packs the project; returns the file. */
async function pack(lab: Lab): Promise<string> {
  const out = await must(['npm', 'pack', project, '--pack-destination', lab.folder, '--silent'], {
    timeoutMs: LONG_MS,
  });
  return join(lab.folder, out.trim().split('\n').at(-1) ?? '');
}

/** The same package under another version. */
async function asVersion(lab: Lab, file: string, version: string): Promise<string> {
  await must(['tar', '-xzf', file, '-C', lab.folder]);
  const manifest = join(lab.folder, 'package/package.json');
  const fields = JSON.parse(readFileSync(manifest, 'utf8')) as object;
  writeFileSync(manifest, JSON.stringify({ ...fields, version }, null, 2));
  const next = join(lab.folder, `next-${version}.tgz`);
  await must(['tar', '-czf', next, '-C', lab.folder, 'package']);
  return next;
}

const prefixOf = (lab: Lab): string => join(lab.folder, 'prefix');
const installed = (lab: Lab, path: string): string => join(prefixOf(lab), 'lib/node_modules/ocvpn', path);

/** Everything that it needs is in the file: no registry is asked. */
async function install(lab: Lab, file: string): Promise<void> {
  const flags = ['--prefix', prefixOf(lab), '--offline', '--omit=optional', '--no-audit', '--no-fund'];
  await must(['npm', 'install', '-g', ...flags, file], { timeoutMs: LONG_MS });
}

async function serve(lab: Lab): Promise<Companion> {
  const [node = '', , ...args] = serveCommand(lab);
  const command = [node, installed(lab, 'bin/run.js'), ...args, '--run-dir', runFolder(lab)];
  const main = lab.server.start('vpn', command);
  await main.waitFor(/vpn is ready/);
  return main;
}

/** The addon that the process has loaded is the one that is installed now. */
const runsWhatIsInstalled = (lab: Lab, pid: number): boolean =>
  new RegExp(`${installed(lab, 'native/build/Release/ocvpn.node')}$`, 'm').test(
    readFileSync(`/proc/${pid}/maps`, 'utf8'),
  );

test('another version is installed over the running one: nothing is lost', {
  timeout: 2 * LONG_MS,
}, async () => {
  const lab = await openLab({ clients: 2 });
  const first = await pack(lab);
  const contents = await must(['tar', '-tzf', first]);
  expect(contents).not.toMatch(
    /^package\/(test|bench|examples\/.*dist)\/|\.tsbuildinfo$|performance\/.*\.json$/m,
  );
  await install(lab, first);
  for (const page of ['man8/vpn-serve.8', 'man5/vpn.conf.5'])
    expect(readFileSync(join(prefixOf(lab), 'share/man', page), 'utf8')).toMatch(/^\.TH /m);
  const server = await startServer(lab, 'ocvpn', { launch: serve });
  const client = await connect(lab, server);
  await client.dtls();
  const running = await pinging(client);
  const before = await statusOf(lab);
  const [user] = await server.users();

  await install(lab, await asVersion(lab, first, '99.0.0'));
  expect(await must([process.execPath, installed(lab, 'bin/run.js'), '--version'])).toMatch(
    /^ocvpn\/99\.0\.0 /,
  );
  expect(runsWhatIsInstalled(lab, before.pid)).toBe(false);
  process.kill(before.pid, 'SIGUSR2');
  expect((await server.process.ended()).code).toBe(0);
  const next = await serve(lab);
  await until('the session to be adopted', async () => (await server.users()).length === 1);
  process.kill(before.secmodPid ?? 0, 'SIGTERM');
  const after = await until('the next secmod', async () => {
    const status = await statusOf(lab);
    return status.secmodPid !== null && status.secmodPid !== before.secmodPid && status;
  });

  await expectNothingLost(running);
  expect(await server.users()).toMatchObject([
    { id: user?.id, ipv4: user?.ipv4, workerPid: user?.workerPid },
  ]);
  for (const pid of [after.pid, after.secmodPid ?? 0]) expect(runsWhatIsInstalled(lab, pid)).toBe(true);
  // Logins are the new version's; the cookie of before is good.
  const second = await connect(lab, server, { on: 1, user: 'carol', password: 'carols' });
  expect(await ping(second.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  client.process.signal('SIGUSR2');
  await client.event('reconnect');
  expect((await server.users()).find(({ name }) => name === 'alice')?.ipv4).toBe(user?.ipv4);
  await next.stop('SIGTERM', 10_000);
});
