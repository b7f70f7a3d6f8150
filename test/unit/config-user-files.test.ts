/** Per-user and per-group files: what they may set, how they are merged, and what rejects a session. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readIroutes, withIroutes } from '../../src/core/config/exposed-iroutes.js';
import { sessionConfig } from '../../src/core/config/group-config.js';
import { buildConfig } from '../../src/core/config/load.js';
import { withUserFiles } from '../../src/core/config/user-files.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-user-'));
  for (const name of ['user', 'group']) mkdirSync(join(directory, name));
});
afterEach(() => rmSync(directory, { recursive: true }));

const put = (path: string, text: string | Buffer): void => writeFileSync(join(directory, path), text);

/** A virtual host with the directories of this test. */
function vhostWith(changes: object) {
  const document = {
    auth: ['plain[passwd=/x]'],
    'server-cert': ['c'],
    'server-key': ['k'],
    'ipv4-network': '10.0.0.0',
    'ipv4-netmask': '255.255.255.0',
    route: ['10.1.0.0/16'],
    dns: ['10.0.0.1'],
    'idle-timeout': 60,
    'config-per-user': join(directory, 'user'),
    'config-per-group': join(directory, 'group'),
    ...changes,
  };
  return buildConfig(document, {}, null).default;
}

/** The session of alice in the group staff, with these options of the server in addition. */
function session(changes: object = {}, { userName = 'alice', groupName = 'staff' } = {}) {
  return sessionConfig(withUserFiles(vhostWith(changes), { userName, groupName }));
}

test('without files a session has what the server has', () => {
  expect(session()).toMatchObject({
    routes: ['10.1.0.0/255.255.0.0'],
    dns: ['10.0.0.1'],
    idleTimeoutSec: 60,
  });
});

test("the user's values win over the group's, and those over the server's; lists of both are joined", () => {
  put('group/staff', 'idle-timeout = 10\ndpd = 11\nroute = 10.2.0.0/16\nno-udp = true\n');
  put('user/alice', 'idle-timeout = 20\nroute = 10.3.0.0/255.255.0.0\nroute = 10.4.0.0/16 \n# a comment\n');
  expect(session()).toMatchObject({
    idleTimeoutSec: 20,
    dpdSec: 11,
    noUdp: true,
    routes: ['10.2.0.0/255.255.0.0', '10.3.0.0/255.255.0.0', '10.4.0.0/255.255.0.0'],
    dns: ['10.0.0.1'],
  });
});

test.each([
  ['alice.yaml', 'route: [10.3.0.0/16]\nidle-timeout: 20 # a comment\n'],
  ['alice.yml', 'idle-timeout: 20\nroute:\n  - 10.3.0.0/16\n'],
  ['alice.json', '{ "route": ["10.3.0.0/16"], "idle-timeout": 20 }'],
])('a file of a user may be %s', (name, text) => {
  put(`user/${name}`, text);
  expect(session()).toMatchObject({ idleTimeoutSec: 20, routes: ['10.3.0.0/255.255.0.0'] });
  expect(session({}, { userName: 'bob', groupName: '' }).idleTimeoutSec).toBe(60);
  put('user/alice', 'idle-timeout = 30\n');
  expect(session().idleTimeoutSec).toBe(30);
});

test('a default file may be one of YAML, too', () => {
  put('default.yaml', 'dpd: 7\n');
  expect(session({ 'default-user-config': join(directory, 'default.yaml') }).dpdSec).toBe(7);
});

test.each([
  ['dpd: seven\n', 'line 1: dpd: must be a whole number, not "seven"'],
  [
    'banner: x\nvhosts: {b: {}}\n',
    'sections have no place in it; line 1: banner: cannot be set for one user or group',
  ],
  ['[1, 2]\n', 'line 1:  the file is not a mapping of options'],
])('mistakes in YAML reject the session: %j', (text, problem) => {
  put('user/alice.yaml', text);
  expect(() => session()).toThrow(problem);
});

describe('expose-iroutes', () => {
  const exposed = (changes: object, userName: string, problems: string[] = []) => {
    const vhost = vhostWith({ 'expose-iroutes': true, ...changes });
    const iroutes = readIroutes(vhost, (problem) => problems.push(problem));
    return withIroutes(withUserFiles(vhost, { userName, groupName: '' }), iroutes, userName).route;
  };

  test('a client gets the networks behind the others, not its own', () => {
    put('user/alice', 'iroute = 192.168.1.0/24\n');
    put('user/bob.yaml', 'iroute: [192.168.2.0/24, fd02::/64]\n');
    put('user/carol', 'route = 10.7.0.0/16\n');
    expect(exposed({}, 'alice')).toEqual(['10.1.0.0/16', '192.168.2.0/24', 'fd02::/64']);
    expect(exposed({}, 'bob')).toEqual(['10.1.0.0/16', '192.168.1.0/24']);
    expect(exposed({}, 'carol')).toEqual(['10.7.0.0/16', '192.168.1.0/24', '192.168.2.0/24', 'fd02::/64']);
  });

  test('not without the option, and not for a client that sends everything', () => {
    put('user/bob', 'iroute = 192.168.2.0/24\n');
    expect(exposed({ 'expose-iroutes': false }, 'alice')).toEqual(['10.1.0.0/16']);
    expect(exposed({ route: ['default'] }, 'alice')).toEqual(['default']);
    expect(exposed({ route: [] }, 'alice')).toEqual([]);
  });

  test('a file or directory that cannot be read is told and passed over', () => {
    put('user/bad', 'iroute = nonsense\n');
    put('user/bob', 'iroute = 192.168.2.0/24\n');
    const problems: string[] = [];
    expect(exposed({}, 'alice', problems)).toEqual(['10.1.0.0/16', '192.168.2.0/24']);
    expect(problems).toMatchObject([expect.stringContaining('user/bad')]);
    const gone = join(directory, 'gone');
    expect(exposed({ 'config-per-user': gone }, 'alice', problems)).toEqual(['10.1.0.0/16']);
    expect(problems[1]).toBe(`${gone}: there is no such file`);
  });
});

test('append-routes adds to the routes of the server, and to nothing else', () => {
  put('user/alice', 'route = 10.3.0.0/16\nno-route = 10.3.1.0/24\ndns = 9.9.9.9\n');
  expect(session({ 'append-routes': true })).toMatchObject({
    routes: ['10.1.0.0/255.255.0.0', '10.3.0.0/255.255.0.0'],
    noRoutes: ['10.3.1.0/255.255.255.0'],
    dns: ['9.9.9.9'],
  });
});

test('the options that only users have', () => {
  put(
    'user/alice',
    'explicit-ipv4 = 10.9.9.9\nexplicit-ipv6 = fd00::9\nhostname = laptop\niroute = 192.168.7.0/24\nrestrict-user-to-ports = "tcp(443)"\n',
  );
  expect(session()).toMatchObject({
    explicitIpv4: '10.9.9.9',
    explicitIpv6: 'fd00::9',
    hostname: 'laptop',
    iroutes: ['192.168.7.0/255.255.255.0'],
    restrictUserToPorts: 'tcp(443)',
    restrictUserToRoutes: true,
  });
});

test("a user's own pool brings its own mask, or takes the server's", () => {
  put('user/alice', 'ipv4-network = 10.5.0.0/16\n');
  expect(session()).toMatchObject({ ipv4Network: '10.5.0.0', ipv4Netmask: '255.255.0.0' });
  put('user/alice', 'ipv4-network = 10.6.0.0\n');
  expect(session()).toMatchObject({ ipv4Network: '10.6.0.0', ipv4Netmask: '255.255.255.0' });
});

test('the default files stand in for those that are missing', () => {
  put('default-user', 'dpd = 5\n');
  put('default-group', 'mobile-dpd = 6\n');
  const defaults = {
    'default-user-config': join(directory, 'default-user'),
    'default-group-config': join(directory, 'default-group'),
  };
  expect(session(defaults)).toMatchObject({ dpdSec: 5, mobileDpdSec: 6 });
  expect(session(defaults, { userName: 'alice', groupName: '' })).toMatchObject({
    dpdSec: 5,
    mobileDpdSec: 1800,
  });
  put('user/alice', 'keepalive = 7\n');
  expect(session(defaults)).toMatchObject({ dpdSec: 90, keepaliveSec: 7 });
});

test('the files are read again for each session', () => {
  put('user/alice', 'dpd = 1\n');
  expect(session().dpdSec).toBe(1);
  put('user/alice', 'dpd = 2\n');
  expect(session().dpdSec).toBe(2);
});

describe('a session is rejected', () => {
  test.each([
    ['dpd = often', 'line 1: dpd: must be a whole number'],
    ['nonsense', 'line 1:  "nonsense" is not of the form'],
    ['dpdd = 1', 'line 1: dpdd: unknown option, did you mean dpd?'],
    ['tcp-port = 1', 'line 1: tcp-port: cannot be set for one user or group'],
    ['dpd = 1\ndpd = 2', 'line 2: dpd: is given twice'],
    ['[vhost:x]\ndpd = 1', 'sections have no place in it'],
    ['route = here', 'line 1: route: "here" is not a network'],
    ['ipv4-network = 10.0.0.0/31', 'ipv4-network: "10.0.0.0/31" is no IPv4 network'],
  ])('for a file with %j', (text, detail) => {
    put('user/alice', text);
    expect(() => session()).toThrowError(
      expect.objectContaining({ code: 'OCS_USER_FILE', message: expect.stringContaining(detail) }),
    );
    put('user/alice', '');
    expect(() => session()).not.toThrow();
  });

  test('for a file that is none', () => {
    mkdirSync(join(directory, 'user/alice'));
    expect(() => session()).toThrow('it is not a regular file');
    expect(() => session({}, { userName: 'bob', groupName: 'staff' })).not.toThrow();
    put('group/staff', Buffer.from([0, 1, 2]));
    expect(() => session({}, { userName: 'bob', groupName: 'staff' })).toThrow('NUL bytes');
  });

  test.each(['../alice', '.', '..', '', 'a/b', 'a\0b', 'x'.repeat(256)])('for the name %j', (userName) => {
    put('alice', 'dpd = 1\n');
    expect(() => session({}, { userName, groupName: 'staff' })).toThrow('there can be no file for the user');
    expect(() => session({ 'config-per-user': '' }, { userName, groupName: 'staff' })).not.toThrow();
  });

  test('for a group whose name leads out of the directory', () => {
    expect(() => session({}, { userName: 'alice', groupName: '../user/alice' })).toThrow('for the group');
  });

  test('for a default file that is missing', () => {
    const missing = { 'default-user-config': join(directory, 'nowhere') };
    expect(() => session(missing)).toThrow('there is no such file');
    put('user/alice', 'dpd = 1\n');
    expect(session(missing).dpdSec).toBe(1);
  });
});
