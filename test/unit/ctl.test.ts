import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { callControl, followEvents } from '../../src/core/control/client.js';
import type { StatusData, UserData } from '../../src/core/control/results.js';
import {
  eventText,
  formatAge,
  formatBytes,
  statusText,
  userBlocksText,
  usersText,
} from '../../src/core/control/text.js';
import { parseRequest, type VerbHandlers } from '../../src/core/control/verbs.js';
import { VpnError } from '../../src/core/errors.js';
import { UNTOLD } from '../../src/core/main/clients.js';
import { controlHandlers } from '../../src/core/main/control-handlers.js';
import { ControlServer } from '../../src/core/main/control-server.js';
import { EventFeed } from '../../src/core/main/event-feed.js';
import { native } from '../../src/core/native/index.js';
import { receiveFrom } from '../../src/core/native/receive.js';
import { aCookie, addClient, cookieRequest, FakeWorker, makeSessions, silent } from './main-support.js';

const feed = new EventFeed();

/** secmod with two sessions, one of them with a tunnel. */
function cookieJar() {
  let cookies = [
    aCookie,
    { ...aCookie, safeId: 'abczzzghijklmnopqrstuvwxyz0=', sessionIsOpen: false, inUse: 0 },
  ];
  return {
    pid: 12,
    listCookies: async () => cookies,
    terminate: async (which: { userName: string } | { safeId: string }) => {
      const before = cookies.length;
      cookies = cookies.filter((one) =>
        'userName' in which ? one.userName !== which.userName : one.safeId !== which.safeId,
      );
      return before - cookies.length;
    },
  };
}

/** A server on a real socket, with one connected session and one connection before login. */
async function populated() {
  const parts = makeSessions();
  const worker = new FakeWorker();
  const client = addClient(parts.clients, worker);
  await parts.sessions.open(client, cookieRequest(client.id));
  addClient(parts.clients, worker, '203.0.113.5');
  parts.clock.now += 3725;
  let stopped = 0;
  const handlers = controlHandlers({
    ...parts,
    secmod: cookieJar(),
    pool: { workers: 3, spares: 2 },
    now: () => parts.clock.now,
    reload: async () => ({ needRestart: ['tcp-port'] }),
    stop: () => {
      stopped++;
    },
  });
  return { ...parts, worker, client, handlers, stops: () => stopped };
}

describe('requests', () => {
  it('are read by the table of verbs', () => {
    expect(parseRequest('{"v":1,"verb":"user","args":{"name":"alice"}}')).toEqual({
      verb: 'user',
      args: { name: 'alice' },
    });
    expect(parseRequest('{"v":1,"verb":"stop"}')).toEqual({ verb: 'stop', args: {} });
  });

  it.each([
    ['nonsense', 'it is not JSON'],
    ['null', 'version undefined is not 1'],
    ['{"v":2,"verb":"stop"}', 'version 2 is not 1'],
    ['{"v":1,"verb":"toString"}', 'there is no verb "toString"'],
    ['{"v":1,"verb":"id","args":{"id":"1"}}', 'argument id of id is not a number'],
    ['{"v":1,"verb":"id","args":{"id":1.5}}', 'argument id of id is not a number'],
    ['{"v":1,"verb":"id"}', 'argument id of id is not a number'],
    ['{"v":1,"verb":"stop","args":{"now":true}}', 'stop takes no argument "now"'],
    ['{"v":1,"verb":"stop","args":7}', 'args is not an object'],
  ])('%s is refused: %s', (line, reason) => {
    expect(() => parseRequest(line)).toThrow(reason);
  });
});

const nothing = (): void => undefined;

describe('the control socket', () => {
  let dir: string;
  let path: string;
  let server: ControlServer | null = null;
  const serve = (handlers: VerbHandlers, gid: number | null = null) => {
    server = new ControlServer({ io: native.io, path, gid, log: silent, handlers, events: feed });
  };
  /** Connects as a user with these groups and asks for the status; what the server answers, or how it refuses. */
  const askAs = async (uid: number, gid: number, groups: number[]): Promise<string> => {
    const { setgroups = nothing, setegid = nothing, seteuid = nothing } = process;
    const own = process.getgroups?.() ?? [];
    let fd: number;
    setgroups(groups);
    setegid(gid);
    seteuid(uid);
    try {
      fd = native.io.connectUnix(path);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? '';
    } finally {
      seteuid(0);
      setegid(0);
      setgroups(own);
    }
    try {
      native.io.sendMessage(fd, Buffer.from('{"v":1,"verb":"status"}\n'), []);
      const answer = await vi.waitUntil(() => receiveFrom(native.io, fd, 1 << 16));
      return answer.data.length === 0 ? 'closed' : answer.data.toString();
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? '';
    } finally {
      native.io.close(fd);
    }
  };

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'ctl-'));
    path = join(dir, 'ctl.sock');
  });
  afterEach(() => {
    server?.close();
    server = null;
    rmSync(dir, { recursive: true });
  });

  it('answers every verb, and is for root only', async () => {
    const { handlers, client, worker, stops } = await populated();
    serve(handlers);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await callControl(path, 'status', {})).toMatchObject({
      activeSessions: 1,
      connections: 2,
      secmodPid: 12,
    });
    expect(await callControl(path, 'users', {})).toHaveLength(2);
    expect((await callControl(path, 'user', { name: 'alice' }))[0]?.id).toBe(client.id);
    expect((await callControl(path, 'id', { id: client.id }))[0]?.session?.ipv4).toBe('10.8.0.77');
    expect(await callControl(path, 'disconnect-user', { name: 'alice' })).toEqual({ disconnected: 1 });
    expect(worker.terminated).toEqual([
      { client: client.id, how: 'disconnect', reason: 'server-disconnect' },
    ]);
    expect(await callControl(path, 'disconnect-id', { id: client.id })).toEqual({ disconnected: 1 });
    expect(await callControl(path, 'stop', {})).toEqual({ stopping: true });
    expect(stops()).toBe(1);
  });

  it('answers the members of control-group, by primary or further group, and nobody else', async () => {
    chmodSync(dir, 0o711);
    serve((await populated()).handlers, 4711);
    expect(statSync(path)).toMatchObject({ uid: 0, gid: 4711 });
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect(await askAs(65534, 4711, [])).toContain('"ok":true');
    expect(await askAs(65534, 65534, [27, 4711])).toContain('"ok":true');
    expect(await askAs(65534, 65534, [27])).toBe('EACCES');
    expect((await callControl(path, 'status', {})).activeSessions).toBe(1);
    // What is let in by the mode of a file that somebody widened is still looked at.
    chmodSync(path, 0o666);
    expect(await askAs(65534, 65534, [27])).toMatch(/closed|EPIPE|ECONNRESET/);
  });

  it('without control-group refuses everybody but root, whatever the mode of the file', async () => {
    chmodSync(dir, 0o711);
    serve((await populated()).handlers);
    expect(await askAs(65534, 65534, [])).toBe('EACCES');
    chmodSync(path, 0o666);
    expect(await askAs(65534, 0, [0])).toMatch(/closed|EPIPE|ECONNRESET/);
  });

  it('begins a stream of events with who is there, then tells each change', async () => {
    const { handlers, client } = await populated();
    serve(handlers);
    const stream = followEvents(path);
    const first = await stream.next();
    expect(first.value).toMatchObject({ type: 'present', reason: null, user: { id: client.id } });
    if (!client.session) throw new Error('no session');
    feed.publish({ type: 'adopted', client, session: client.session, reason: null, time: 9 });
    const { value: event } = await stream.next();
    expect(event).toMatchObject({ type: 'adopted', time: 9, user: { id: client.id } });
    expect(event && eventText(event)).toMatch(
      /^default: adopted user 'alice' \(\d+\) from 198\.51\.100\.7 with IP/,
    );
    await stream.return(undefined);
  });

  it('answers for thousands of clients, and tells who is there event by event', async () => {
    const { handlers, client } = await populated();
    const { session } = client;
    if (!session) throw new Error('no session');
    const [user] = await handlers.users();
    if (!user) throw new Error('no user');
    const many = Array.from({ length: 5000 }, (_, id) => ({ ...user, id }));
    serve({ ...handlers, users: () => many });
    const answer = await callControl(path, 'users', {});
    expect(JSON.stringify(answer).length).toBeGreaterThan(2 << 20);
    expect(answer).toEqual(many);
    const stream = followEvents(path);
    for (const { id } of many)
      expect((await stream.next()).value).toMatchObject({ type: 'present', user: { id } });
    feed.publish({ type: 'connected', client, session, reason: null, time: 9 });
    expect((await stream.next()).value).toMatchObject({ type: 'connected', time: 9 });
    await stream.return(undefined);
  });

  it('sends a long answer from where it was written, part by part', async () => {
    const { handlers } = await populated();
    const [user] = await handlers.users();
    if (!user) throw new Error('no user');
    const parts: Uint8Array[] = [];
    const io: typeof native.io = {
      ...native.io,
      sendMessage: (fd, data, fds) => {
        parts.push(data);
        return native.io.sendMessage(fd, data, fds);
      },
    };
    server = new ControlServer({
      ...{ io, path, gid: null, log: silent, events: feed },
      handlers: { ...handlers, users: () => Array.from({ length: 5000 }, (_, id) => ({ ...user, id })) },
    });
    expect(await callControl(path, 'users', {})).toHaveLength(5000);
    expect(parts.length).toBeGreaterThan(2);
    expect(new Set(parts.map(({ buffer }) => buffer)).size).toBe(1);
  });

  it('says what is not there', async () => {
    serve((await populated()).handlers);
    for (const call of [
      callControl(path, 'user', { name: 'nobody' }),
      callControl(path, 'disconnect-user', { name: 'nobody' }),
      callControl(path, 'id', { id: 99 }),
      callControl(path, 'disconnect-id', { id: 99 }),
    ]) {
      await expect(call).rejects.toMatchObject({ code: 'OCS_CTL_NOT_FOUND' });
    }
  });

  it('reports a request that it does not understand, and goes on', async () => {
    serve((await populated()).handlers);
    const answer = await raw(path, '{"v":9}\n{"v":1,"verb":"users"}\n', 2);
    expect(JSON.parse(answer[0] ?? '')).toMatchObject({
      v: 1,
      ok: false,
      error: { code: 'OCS_CTL_REQUEST' },
    });
    expect(JSON.parse(answer[1] ?? '')).toMatchObject({ v: 1, ok: true });
  });

  it('closes a connection that sends a line without end', async () => {
    serve((await populated()).handlers);
    await expect(raw(path, 'x'.repeat(5000), 1)).rejects.toThrow('closed');
    expect(await callControl(path, 'users', {})).toHaveLength(2);
  });

  it('takes no more than 16 connections at once', async () => {
    serve((await populated()).handlers);
    const sockets = await Promise.all(Array.from({ length: 16 }, () => open(path)));
    await expect(callControl(path, 'status', {})).rejects.toBeInstanceOf(VpnError);
    for (const socket of sockets) socket.destroy();
    await expect
      .poll(() =>
        callControl(path, 'status', {}).then(
          () => 'ok',
          () => 'busy',
        ),
      )
      .toBe('ok');
  });

  it('is unreachable without a server: the sentence says what to do', async () => {
    await expect(callControl(path, 'status', {})).rejects.toThrow('vpn serve');
  });
});

const open = (path: string) =>
  new Promise<ReturnType<typeof connect>>((resolve) => {
    const socket = connect(path, () => resolve(socket));
  });

/** Sends text as it is and waits for so many lines. */
async function raw(path: string, text: string, lines: number): Promise<string[]> {
  const socket = await open(path);
  socket.write(text);
  return new Promise((resolve, reject) => {
    let answer = '';
    socket.on('error', () => reject(new Error('closed')));
    socket.on('close', () => reject(new Error('closed')));
    socket.on('data', (data) => {
      answer += data.toString();
      const found = answer.split('\n').slice(0, -1);
      if (found.length < lines) return;
      resolve(found);
      socket.destroy();
    });
  });
}

describe('text for people', () => {
  it.each([
    [0, '    0s'],
    [11, '   11s'],
    [184, ' 3m:04s'],
    [3725, ' 1h:02m'],
    [172_800, ' 2days'],
  ])('shows an age of %i seconds as "%s"', (seconds, text) => {
    expect(formatAge(seconds)).toBe(text);
  });

  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [12_345, '12.3 kB'],
    [5_000_000_000, '5.0 GB'],
  ])('shows %i bytes as "%s"', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it('lists users under right-aligned columns as occtl does', async () => {
    const { handlers } = await populated();
    const [head = '', first = '', second = ''] = usersText(handlers.users()).split('\n');
    expect(head).toBe(
      '      id     user    vhost             ip         vpn-ip device   since    dtls-cipher    status',
    );
    expect(first).toMatch(
      /^ {7}1 {4}alice {2}default {3}198\.51\.100\.7 {6}10\.8\.0\.77 {2}vpns1 +1h:02m {6}\(no-dtls\) connected$/,
    );
    expect(second).toMatch(/\(none\) .* pre-auth$/);
  });

  it('shortens the DTLS cipher to what differs', async () => {
    const { handlers, sessions, client } = await populated();
    const dtlsCipher = '(DTLS1.2)-(PSK)-(AES-256-GCM)';
    sessions.reports.info(client, { ...UNTOLD, dtlsCipher, dtlsActive: true });
    expect(usersText(handlers.users())).toContain(' (AES-256-GCM) connected');
  });

  it('has something to say about an empty server', () => {
    expect(usersText([])).toBe('no users are connected');
  });

  it('lists any number of them: each row costs the same', async () => {
    const [user] = await (await populated()).handlers.users();
    if (!user) throw new Error('no user');
    // A layout that looks at all rows for each row would take hours.
    const lines = usersText(Array.from({ length: 100_000 }, (_, id) => ({ ...user, id }))).split('\n');
    expect(lines).toHaveLength(100_001);
    expect(new Set(lines.map((line) => line.length)).size).toBe(1);
  });

  it('prints the block of a user with the lines that have a value', async () => {
    const { handlers } = await populated();
    const text = userBlocksText(handlers.user({ name: 'alice' }));
    for (const line of [
      '\tUsername: alice   Groupname: (none)',
      '\tDevice: vpns1   MTU: 1500',
      '\tIPv4: 10.8.0.77   P-t-P IPv4: 10.8.0.1',
      '\tRoutes: defaultroute',
      '\tRestricted to routes: False',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).not.toContain('NBNS');
    expect(text).not.toContain('Limit RX');
    expect(text).not.toContain('DTLS cipher');
  });

  it('prints status with the two headings of occtl', async () => {
    const { handlers } = await populated();
    const status: StatusData = handlers.status();
    const text = statusText(status);
    expect(text).toContain('\nGeneral info:\n\tStatus: online\n');
    expect(text).toContain('\n\nCurrent stats period:\n');
    expect(statusText({ ...status, secmodPid: null })).toContain('Sec-mod PID: (starting)');
  });

  it('gives no cookie away', async () => {
    const { handlers, client } = await populated();
    const users: readonly UserData[] = handlers.users();
    const cookie = Buffer.from(client.session?.sid ?? []);
    const json = JSON.stringify(users);
    for (const encoding of ['hex', 'base64'] as const) expect(json).not.toContain(cookie.toString(encoding));
  });
});
