/** `vpn serve` with its real processes and the stock client: who may die, and what goes on without it. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { killIfThere, openFiles, Process, TestBed, until } from '../support/main-server.js';

const LONG = { timeout: 60_000 };
let bed: TestBed;

beforeEach(async () => {
  bed = new TestBed();
  await bed.setUp();
});
afterEach(() => bed.tearDown(), 30_000);

const user = async () => (await bed.ctl('users', {}))[0];
const status = () => bed.ctl('status', {});

describe('start and stop', LONG, () => {
  it('is ready with secmod and spare workers, and leaves nothing behind', async () => {
    const server = await bed.serveReady({ 'spare-workers': 2 });
    expect(await status()).toMatchObject({ spareWorkers: 2, workers: 2, connections: 0 });
    expect(server.output).toContain('TLS            127.0.0.1:4443');
    expect(statSync(bed.runDir).mode & 0o777).toBe(0o711);
    expect(statSync(join(bed.runDir, 'main.sock')).mode & 0o777).toBe(0o660);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    expect(bed.pids()).toEqual([]);
    expect(existsSync(bed.runDir)).toBe(false);
  });

  it('refuses a run directory, a data directory and a port in use, each with one sentence', async () => {
    await bed.serveReady();
    const second = bed.serve();
    expect(await second.exited).toBe(1);
    expect(second.output).toMatch(/^vpn: Another server \(process \d+\) uses the run directory .*\n$/);
    const sharing = bed.serve({}, { run: `${bed.runDir}2` });
    expect(await sharing.exited).toBe(1);
    expect(sharing.output).toMatch(/^vpn: Another server \(process \d+\) uses the data directory .*\n$/);
    expect(existsSync(`${bed.runDir}2`)).toBe(false);
    const other = bed.serve({}, { run: `${bed.runDir}2`, data: `${bed.dataDir}2` });
    expect(await other.exited).toBe(1);
    expect(other.output).toMatch(/^vpn: TCP port 4443 on 127\.0\.0\.1 is already in use\. .*\n$/);
    expect(existsSync(`${bed.runDir}2`)).toBe(false);
    expect(await status()).toMatchObject({ status: 'online' });
  });

  it('ends with one sentence when secmod cannot start', async () => {
    const server = bed.serve({ 'server-key': ['/etc/passwd'] });
    expect(await server.exited).toBe(1);
    expect(server.output).toContain('vpn: The secmod process did not start: exit status 1.');
    expect(server.output).toContain('/etc/passwd');
    expect(bed.pids()).toEqual([]);
    expect(existsSync(bed.runDir)).toBe(false);
  });

  it('stops while it is still starting', async () => {
    const server = bed.serve();
    await until('secmod is there', () => bed.pids().length > 1);
    server.kill('SIGINT');
    expect(await server.exited).toBe(0);
    expect(bed.pids()).toEqual([]);
  });

  it('needs root and says so', async () => {
    const launcher = join(import.meta.dirname, '../../bin/run.js');
    // May read everywhere, so that it does not matter where the checkout lies.
    const caps = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search'];
    const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', ...caps];
    const command = ['env', `HOME=${tmpdir()}`, process.execPath, launcher, 'serve'];
    const server = new Process('setpriv', [...nobody, ...command]);
    expect(await server.exited).toBe(1);
    expect(server.output).toMatch(/^vpn: The server needs root .*sudo.*\n$/);
  });

  it('ends by vpn ctl stop, and tells the client not to come back', async () => {
    const server = await bed.serveReady();
    const client = await bed.connect();
    const ctl = bed.vpn(['ctl', 'stop', '--run-dir', bed.runDir]);
    expect(await ctl.exited).toBe(0);
    expect(ctl.output).toBe('Server scheduled to stop\n');
    expect(await server.exited).toBe(0);
    // pino's numbers of warnings and errors: an ordinary end is none.
    expect(server.output).not.toMatch(/"level":[456]0/);
    await client.exited;
    expect(client.output).toContain('Session terminated by server');
    expect(bed.pids()).toEqual([]);
  });

  it.each(['SIGTERM', 'vpn ctl stop'])(
    'waits server-drain-ms for clients, not longer than they stay: %s',
    async (how) => {
      const server = await bed.serveReady({ 'server-drain-ms': 60_000 });
      const client = await bed.connect();
      if (how === 'SIGTERM') server.kill('SIGTERM');
      else expect(await bed.vpn(['ctl', 'stop', '--run-dir', bed.runDir]).exited).toBe(0);
      await server.says('waiting for clients to leave');
      expect(await user()).toMatchObject({ state: 'connected' });
      client.kill('SIGINT');
      expect(await server.exited).toBe(0);
    },
  );
});

describe('a second signal', LONG, () => {
  it('ends everything at once', async () => {
    const server = await bed.serveReady({ 'server-drain-ms': 600_000, nat: true });
    await bed.connect();
    server.kill('SIGTERM');
    await server.says('waiting for clients to leave');
    // Signals in quick succession count as one (a terminal's Ctrl-C comes twice under npm).
    await until('it has ended', () => {
      server.kill('SIGTERM');
      return server.child.exitCode !== null;
    });
    expect(await server.exited).toBe(1);
    await until('only the client is left', () => bed.pids().length <= 1);
    expect(bed.sockets()).toEqual(['secmod.sock']);
    expect(
      execFileSync('ip', ['netns', 'exec', bed.netns, 'nft', 'list', 'tables'], { encoding: 'utf8' }),
    ).toBe('');
  });
});

describe('separate supervision', LONG, () => {
  it('wants secmod to be there with --no-secmod', async () => {
    const server = bed.serve({}, {}, ['--no-secmod']);
    expect(await server.exited).toBe(1);
    expect(server.output).toMatch(/^vpn: No secmod process answers at .*secmod\.sock\. .*--no-secmod.*\n$/);
  });

  it('uses a secmod that runs by itself, and leaves it running', async () => {
    const file = bed.configure({});
    const secmod = bed.vpn([
      'secmod',
      '-c',
      file,
      '--data-dir',
      bed.dataDir,
      '--socket',
      bed.socket('secmod'),
    ]);
    await secmod.says('secmod is ready');
    const server = await bed.serveReady({}, {}, ['--no-secmod']);
    await bed.connect();
    expect((await status()).secmodPid).toBe(secmod.child.pid);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    expect(secmod.child.exitCode).toBeNull();
  });

  it('serves a connection that a supervisor hands to vpn worker --fd', async () => {
    const server = await bed.serveReady({}, {}, ['--no-workers']);
    expect(server.output).toContain('TLS            none');
    const supervisor = bed.supervise();
    await supervisor.says('listening');
    await bed.connect();
    expect(await user()).toMatchObject({ state: 'connected', remoteIp: '127.0.0.1' });
    // Workers of other users than run-as-user have no business there, and are not listened to.
    const code =
      'import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.exit(len(s.recv(1)))';
    const as = ['--reuid=12345', '--regid=12345', '--clear-groups'];
    const stranger = bed.run('setpriv', [
      ...as,
      '/usr/bin/python3',
      '-c',
      code,
      join(bed.runDir, 'main.sock'),
    ]);
    expect(await stranger.exited).toBe(0);
    await server.says('ipc connection of a stranger closed');
  });
});

describe('the death of', LONG, () => {
  it("a session's process ends its own client only", async () => {
    const server = await bed.serveReady();
    const first = await bed.connect();
    const victim = await user();
    await bed.connect();
    expect(bed.devices()).toHaveLength(2);
    first.kill('SIGKILL');
    killIfThere(victim?.workerPid ?? 0);
    await server.says("the session's process was ended by signal 9");
    const left = await until('one session is left', async () => {
      const users = await bed.ctl('users', {});
      return users.length === 1 && users;
    });
    expect(left[0]?.id).not.toBe(victim?.id);
    await until('its device is gone', () => bed.devices().length === 1);
    await until('a spare worker is back', async () => (await status()).spareWorkers === 2);
  });

  it('a worker ends its own client only', async () => {
    const server = await bed.serveReady({ 'session-process': 'none' });
    const first = await bed.connect();
    const victim = await user();
    await bed.connect();
    first.kill('SIGKILL');
    killIfThere(victim?.workerPid ?? 0);
    await server.says('ended: signal SIGKILL');
    await until('one session is left', async () => (await bed.ctl('users', {})).length === 1);
    await until('a spare worker is back', async () => (await status()).spareWorkers === 2);
  });

  it('a worker ends its sessions with it: no process stays', async () => {
    await bed.serveReady();
    await bed.connect();
    const session = (await user())?.workerPid ?? 0;
    const worker = Number(/PPid:\s*(\d+)/.exec(readFileSync(`/proc/${session}/status`, 'utf8'))?.[1]);
    killIfThere(worker);
    // The client may be back already, by its cookie.
    await until('its session has ended', async () => (await user())?.workerPid !== session);
    await until('so has its process', () => !existsSync(`/proc/${session}`));
  });

  it.each([
    ['pooled', "the session's process was ended by signal 9"],
    ['none', 'did not end client'],
  ])('what does not obey is brought about, so that a disconnect is one (%s)', async (how, said) => {
    const server = await bed.serveReady({ 'session-process': how });
    await bed.connect();
    const client = await user();
    process.kill(client?.workerPid ?? 0, 'SIGSTOP');
    await bed.ctl('disconnect-user', { name: 'user' });
    await until('what was stopped is cut off', async () => (await user()) === undefined);
    expect(server.output).toContain(said);
    await until('its device is gone', () => bed.devices().length === 0);
  });

  it('secmod leaves tunnels alone, and logins work with the next one', async () => {
    const server = await bed.serveReady();
    await bed.connect();
    const before = await status();
    killIfThere(before.secmodPid ?? 0);
    await server.says('secmod is back');
    const after = await status();
    expect(after.secmodPid).not.toBe(before.secmodPid);
    expect(after.activeSessions).toBe(1);
    await bed.connect();
    expect((await status()).activeSessions).toBe(2);
  });

  it('main leaves tunnels and cookies alone; the next main takes both over', async () => {
    const server = await bed.serveReady();
    await bed.connect();
    const tunnel = await user();
    const cookie = await bed.login();
    const { secmodPid } = await status();
    server.kill('SIGKILL');
    await server.exited;
    const next = await bed.serveReady();
    expect((await status()).secmodPid).toBe(secmodPid);
    expect(next.output).toContain('took over the secmod');
    expect(bed.devices()).toEqual([tunnel?.session?.device]);
    await until('the tunnel is adopted', async () => (await user()) !== undefined);
    expect(await user()).toMatchObject({ id: tunnel?.id, session: { ipv4: tunnel?.session?.ipv4 } });
    const client = bed.openconnect(['--cookie', cookie]);
    await client.says('Configured as');
    const addresses = (await bed.ctl('users', {})).map(({ session }) => session?.ipv4);
    expect(new Set(addresses).size).toBe(2);
    next.kill('SIGTERM');
    expect(await next.exited).toBe(0);
    // Not a child of this main, which therefore cannot wait for its last instruction.
    await until('secmod has ended', () => !bed.pids().includes(secmodPid ?? 0));
  });

  it('main with another configuration replaces secmod', async () => {
    const server = await bed.serveReady();
    const { secmodPid } = await status();
    server.kill('SIGKILL');
    await server.exited;
    const next = await bed.serveReady({}, { data: join(bed.dir, 'other') });
    expect(next.output).toContain('it is replaced');
    expect((await status()).secmodPid).not.toBe(secmodPid);
    // Not a child of this main, which therefore cannot wait for its last instruction.
    await until('secmod has ended', () => !bed.pids().includes(secmodPid ?? 0));
  });
});

describe('clients', LONG, () => {
  it('keep their address when they come back with the cookie, over a living or a dead connection', async () => {
    await bed.serveReady();
    const client = await bed.connect(['--reconnect-timeout', '20']);
    const first = await user();
    client.kill('SIGUSR2');
    const second = await until('it came back', async () => {
      const now = await user();
      return now?.state === 'connected' && now.id !== first?.id && now;
    });
    expect(second.session).toMatchObject({ ipv4: first?.session?.ipv4, safeId: first?.session?.safeId });
    killIfThere(second.workerPid);
    const third = await until('it came back again', async () => {
      const now = await user();
      return now?.state === 'connected' && now.id !== second.id && now;
    });
    expect(third.session?.ipv4).toBe(first?.session?.ipv4);
    await until('only one device is left', () => bed.devices().length === 1);
  });

  it('share a process with worker-clients above 1', async () => {
    await bed.serveReady({ 'worker-clients': 4, 'spare-workers': 1 });
    await Promise.all([bed.connect(), bed.connect(), bed.connect()]);
    const users = await bed.ctl('users', {});
    expect(users).toHaveLength(3);
    expect(new Set(users.map(({ workerPid }) => workerPid)).size).toBeLessThan(3);
    await bed.ctl('disconnect-id', { id: users[0]?.id ?? 0 });
    await until('one is gone', async () => (await bed.ctl('users', {})).length === 2);
  });

  it('use DTLS', async () => {
    await bed.serveReady();
    const client = await bed.connect();
    await client.says('Established DTLS connection');
    await until('main knows', async () => (await user())?.session?.dtlsActive);
    expect((await user())?.session?.dtlsCipher).toMatch(/^\(DTLS1\.2\)-\(PSK\)-/);
  });

  it('leave no descriptor behind in main', async () => {
    const server = await bed.serveReady();
    const pid = (await status()).pid;
    const round = async () => {
      const client = await bed.connect();
      await client.says('Established DTLS connection');
      expect(openFiles(pid)).not.toContain('/dev/net/tun');
      client.kill('SIGINT');
      await client.exited;
      await until('it is gone and the spares are back', async () => {
        const { connections, workers } = await status();
        return connections === 0 && workers === 2;
      });
    };
    await round();
    const before = openFiles(pid).length;
    await round();
    await round();
    // The control connection of the last question may still be closing.
    await until('as many descriptors as before', () => openFiles(pid).length <= before);
    server.kill('SIGTERM');
    await server.exited;
  });

  it('wait while max-clients is reached, and get in afterwards', async () => {
    const server = await bed.serveReady({ 'max-clients': 1 });
    const first = await bed.connect();
    await server.says('max-clients reached');
    const second = bed.connect();
    first.kill('SIGINT');
    await second;
    expect(server.output).toContain('below max-clients again');
  });
});

describe('forwarding', LONG, () => {
  const ns = (...args: string[]) =>
    execFileSync('ip', ['netns', 'exec', bed.netns, ...args], { encoding: 'utf8' });
  const tables = () => ns('nft', 'list', 'tables').trim();
  const forward = () => ns('cat', '/proc/sys/net/ipv4/ip_forward').trim();

  it('is on while the server runs, with NAT in a table of its own', async () => {
    const server = await bed.serveReady({ nat: true });
    expect(tables()).toMatch(/^table inet ocvpn_[0-9a-f]{8}$/);
    expect(ns('nft', 'list', 'ruleset')).toContain('iifname "vpns*" oifname != "vpns*" masquerade');
    expect(forward()).toBe('1');
    server.kill('SIGTERM');
    await server.exited;
    expect(tables()).toBe('');
    expect(forward()).toBe('0');
  });

  it('is put back by the server after a crash, without touching what was on before', async () => {
    ns('sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding');
    const crashed = await bed.serveReady({ nat: true, 'ipv6-network': 'fd00:200::/64' });
    const table = tables();
    crashed.kill('SIGKILL');
    await crashed.exited;
    expect(tables()).toBe(table);
    const next = await bed.serveReady({ nat: true, 'ipv6-network': 'fd00:200::/64' });
    expect(tables()).toBe(table);
    next.kill('SIGTERM');
    await next.exited;
    expect(tables()).toBe('');
    expect(forward()).toBe('0');
    expect(ns('cat', '/proc/sys/net/ipv6/conf/all/forwarding').trim()).toBe('1');
  });

  it('names a firewall that drops forwarded packets', async () => {
    ns(
      'nft',
      'add table ip other; add chain ip other guard { type filter hook forward priority 0; policy drop; }',
    );
    const server = await bed.serveReady({ nat: true });
    expect(server.output).toContain('drops forwarded packets (ip other guard)');
    server.kill('SIGTERM');
    await server.exited;
    expect(tables()).toBe('table ip other');
  });

  it('is left alone without the option', async () => {
    await bed.serveReady({ nat: false });
    expect(tables()).toBe('');
    expect(forward()).toBe('0');
  });
});

describe('strangers', LONG, () => {
  it('cannot harm it: health probes, garbage on the sockets', async () => {
    const server = await bed.serveReady();
    const probe = 'for i in $(seq 12); do exec 3<>/dev/tcp/127.0.0.1/4443; exec 3>&-; done';
    expect(await bed.run('bash', ['-c', probe]).exited).toBe(0);
    const garbage = 'for i in $(seq 50); do head -c 900 /dev/urandom > /dev/udp/127.0.0.1/4443; done; true';
    expect(await bed.run('bash', ['-c', garbage]).exited).toBe(0);
    for (const name of ['main.sock', 'secmod.sock', 'ctl.sock']) {
      const socket = connect(join(bed.runDir, name));
      socket.on('error', () => {});
      socket.end(Buffer.alloc(10_000, 0xff));
      await new Promise((done) => socket.on('close', done));
    }
    await until('all probes are gone', async () => (await status()).connections === 0);
    expect(await status()).toMatchObject({ bannedIps: 0, ipcViolations: 0 });
    await bed.connect();
    expect(server.child.exitCode).toBeNull();
  });
});
