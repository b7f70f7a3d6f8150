/** A worker that is run by an attacker from the moment at which it could first be taken over (test/support/takeover-peer.ts). */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { embeddedPaths } from '../../src/core/config/embedded.js';
import { mainCapabilities } from '../../src/core/main/lockdown.js';
import { openFiles, TestBed, until } from '../support/main-server.ts';
import type { TakeoverPlan } from '../support/takeover-peer.ts';

const root = resolve(import.meta.dirname, '../..');
const peer = resolve(import.meta.dirname, '../support/takeover-peer.ts');
const EPERM = -1;
const EACCES = -13;
const ENOSYS = -38;

let bed: TestBed;
beforeEach(async () => {
  bed = new TestBed();
  await bed.setUp();
});
afterEach(() => bed.tearDown());

/** Compiles the attacker's native code. */
function buildLibrary(): string {
  const library = join(bed.dir, 'raw-syscall.node');
  const include = resolve(process.execPath, '../../include/node');
  const source = join(root, 'test/support/raw-syscall.cc');
  execFileSync('g++', ['-std=c++17', '-O0', '-shared', '-fPIC', `-I${include}`, '-o', library, source]);
  return library;
}

/** Lets one client connect to a worker that is taken over and returns what the attacker got. */
async function takeOver(plan: Pick<TakeoverPlan, 'victims' | 'only'>): Promise<Record<string, number>> {
  const whole: TakeoverPlan = {
    ...plan,
    library: buildLibrary(),
    addon: join(root, 'native/build/Release/ocvpn.node'),
    secrets: [bed.socket('ctl'), join(bed.runDir, 'main.state')],
  };
  const supervisor = bed.supervise(['--import', peer], { OCVPN_TAKEOVER: JSON.stringify(whole) });
  await supervisor.says('listening');
  await bed.connect();
  // Longer than what a pipe takes at once: its end comes later than its beginning.
  const line = await until('the whole report', () => /^takeover (\{.*\})\n/m.exec(supervisor.output)?.[1]);
  return JSON.parse(line) as Record<string, number>;
}

/** Serves one client that the attacker is after. */
async function serveVictim(options: Record<string, unknown>): Promise<number[]> {
  const server = await bed.serveReady(options, {}, ['--no-workers']);
  const supervisor = bed.supervise();
  await supervisor.says('listening');
  await bed.connect();
  const victim = (await bed.ctl('users', {}))[0]?.workerPid ?? 0;
  const { secmodPid } = await bed.ctl('status', {});
  return [victim, server.child.pid ?? 0, secmodPid ?? 0];
}

describe('a taken-over worker', { timeout: 120_000 }, () => {
  it('opens, runs, signals, reads and reaches nothing', async () => {
    const victims = await serveVictim({});
    const results = await takeOver({ victims, only: null });
    const { getpid, 'getpid (old thread)': oldThread, ...forbidden } = results;
    expect(getpid).toBeGreaterThan(0);
    expect(oldThread).toBe(getpid);
    expect(Object.keys(forbidden).length).toBeGreaterThan(150);
    const got = Object.entries(forbidden).filter(([, result]) => ![EPERM, EACCES, ENOSYS].includes(result));
    expect(got).toEqual([]);
    // It still is a worker, and its neighbour is as it was.
    expect(await bed.ctl('users', {})).toHaveLength(2);
  });

  it('is held by its user and its memory by itself without isolate-workers', async () => {
    const victims = await serveVictim({ 'isolate-workers': false, 'limit-worker-memory': false });
    const [worker = 0] = victims;
    expect(readFileSync(`/proc/${worker}/limits`, 'utf8')).toMatch(/^Max data size +unlimited/m);
    const memory = victims.flatMap((pid) => [`open memory of ${pid}`, `ptrace ${pid}`]);
    const only = [...memory, 'open /etc/passwd', 'socket TCP', 'fs: read', 'setuid', 'stat'];
    const { getpid: _, 'getpid (old thread)': __, ...results } = await takeOver({ victims, only });
    for (const name of [...memory, 'setuid']) expect([EPERM, EACCES]).toContain(results[name]);
    // The attacker's tools work: it is the isolation that stops them.
    expect(results['open /etc/passwd']).toBeGreaterThan(0);
    expect(results['open /etc/passwd (old thread)']).toBeGreaterThan(0);
    expect(results['socket TCP']).toBeGreaterThan(0);
    expect(results['fs: read']).toBe(0);
    expect(results.stat).toBe(0);
  });
});

/** A line of the status file of every thread but Node's SIGUSR1 watchdog, which takes no signal and so keeps what it has. */
function ofThreads(pid: number, key: string): (string | undefined)[] {
  const files = readdirSync(`/proc/${pid}/task`).map((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8'),
  );
  return files
    .filter((text) => !text.startsWith('Name:\tSignalInspector'))
    .map((text) => new RegExp(`^${key}:\\s*(\\S+)`, 'm').exec(text)?.[1]);
}

describe('after the start', { timeout: 60_000 }, () => {
  it('main has the capabilities that it needs, secmod those about files, and both still work', async () => {
    const server = await bed.serveReady({});
    const { secmodPid } = await bed.ctl('status', {});
    const mask = mainCapabilities.reduce((sum, { number }) => sum + 2 ** number, 0);
    const hex = mask.toString(16).padStart(16, '0');
    const main = await until('main has given the others up', () => {
      const sets = ofThreads(server.child.pid ?? 0, 'CapEff');
      return sets.every((set) => set === hex) && sets;
    });
    expect(main.length).toBeGreaterThan(4);
    for (const set of ofThreads(secmodPid ?? 0, 'CapEff')) expect(set).toBe('000000000000000f');
    for (const mode of ofThreads(secmodPid ?? 0, 'Seccomp')) expect(mode).toBe('2');
    await bed.connect();
    await bed.ctl('reload', {});
    await bed.ctl('disconnect-user', { name: 'user' });
    await until('its device is gone', () => bed.devices().length === 0);
  });

  it('secmod is a user of its own, reads what belongs to others and believes its state file', async () => {
    const server = await bed.serveReady({ 'secmod-user': 'daemon', 'log-level': 2 });
    const { secmodPid: first = 0 } = await bed.ctl('status', {});
    for (const uid of ofThreads(first ?? 0, 'Uid')) expect(uid).toBe('1');
    for (const set of ofThreads(first ?? 0, 'CapEff')) expect(set).toBe('000000000000000f');
    await bed.connect();
    await bed.ctl('reload', {});
    const state = join(bed.runDir, 'secmod.state');
    expect(statSync(state).uid).toBe(1);
    process.kill(first ?? 0, 'SIGKILL');
    await server.says('sessions of before are known again');
    await until('the next one is there', async () => {
      const { secmodPid } = await bed.ctl('status', {});
      return secmodPid !== null && secmodPid !== first;
    });
    await bed.connect();
  });

  it('secmod does not start as a user that its back end cannot be', async () => {
    const server = bed.serve({ 'secmod-user': 'daemon', auth: ['pam'] });
    expect(await server.exited).toBe(1);
    expect(server.output).toContain('secmod-user is daemon, but a back end needs root');
  });

  it('secmod takes no virtual host whose back end needs what it gave up', async () => {
    const server = await bed.serveReady({});
    const { secmodPid } = await bed.ctl('status', {});
    const { serverCert, serverKey } = embeddedPaths(bed.dataDir);
    const vhost = { 'server-cert': [serverCert], 'server-key': [serverKey], auth: ['pam'] };
    bed.configure({ vhosts: { 'pam.test': vhost } });
    await expect(bed.ctl('reload', {})).rejects.toThrow(
      'needs programs and network and root, which secmod gave up',
    );
    expect((await bed.ctl('status', {})).secmodPid).toBe(secmodPid);
    expect(server.child.exitCode).toBeNull();
  });
});

describe('a locked-down worker', { timeout: 60_000 }, () => {
  it('holds what it needs: no file, no ring, no environment of its parent', async () => {
    process.env.OCVPN_TEST_SECRET = 'of the administrator';
    await bed.serveReady({});
    await bed.connect();
    const pid = (await bed.ctl('users', {}))[0]?.workerPid ?? 0;
    expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).not.toContain('OCVPN_TEST_SECRET');
    const files = new Set(openFiles(pid));
    for (const file of files)
      expect(['/dev/null', '/dev/net/tun', 'socket', 'pipe', 'anon_inode', '/memfd']).toContain(file);
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max core file size +0 +0/m);
    expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max open files +4160 +4160/m);
    expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max data size +(\d+) +\1 /m);
    const rings = readdirSync(`/proc/${pid}/fd`).filter((fd) =>
      readlinkSync(`/proc/${pid}/fd/${fd}`).includes('io_uring'),
    );
    expect(rings).toEqual([]);
  });

  it('is not one if a stage fails: the server does not start', async () => {
    const server = bed.serve({ 'run-as-user': 'root', 'run-as-group': 'root' });
    expect(await server.exited).toBe(1);
    expect(server.output).toContain('could not give its rights up (stage privileges)');
    await until('nothing is left', () => bed.pids().length === 0);
  });
});
