/** Loading: the file formats, every mistake at once, virtual hosts, the embedded default, reload. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sessionConfig } from '../../src/core/config/group-config.js';
import { buildConfig, loadConfig } from '../../src/core/config/load.js';
import { needsRestart, reloaded } from '../../src/core/config/reload.js';
import { options } from '../../src/core/config/schema.js';
import { withSessionSettings } from '../../src/core/config/session-settings.js';
import { VpnError } from '../../src/core/errors.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-config-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const BASE = {
  auth: ['plain[passwd=/x]'],
  'server-cert': ['c'],
  'server-key': ['k'],
  'ipv4-network': '10.0.0.0/24',
};

function write(name: string, text: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const problems = (document: object): string[] => problemsOf(() => buildConfig(document, {}, '/etc/vpn.yaml'));

function problemsOf(load: () => unknown): string[] {
  try {
    load();
  } catch (error) {
    if (error instanceof VpnError) return String(error.details.detail).split('\n');
    throw error;
  }
  return [];
}

const YAML = `
auth: plain[passwd=/etc/ocpasswd]
server-cert: [a.crt]
server-key: [a.key]
ipv4-network: 10.1.0.0/16
tcp-port: 4443
vhosts:
  b.example:
    banner: Hello
`;

describe('files', () => {
  test('YAML and JSON give the same; a text stands for a list of one; the rest has the defaults', () => {
    const yaml = loadConfig({ file: write('a.yaml', YAML), dataDir: directory });
    const { source, ...rest } = yaml;
    expect(source).toBe(join(directory, 'a.yaml'));
    expect(rest.default).toMatchObject({
      name: 'default',
      auth: ['plain[passwd=/etc/ocpasswd]'],
      'tcp-port': 4443,
      dpd: 90,
    });
    expect(Object.keys(rest.default).sort()).toEqual([...Object.keys(options), 'name'].sort());
    const document = {
      auth: ['plain[passwd=/etc/ocpasswd]'],
      'server-cert': ['a.crt'],
      'server-key': ['a.key'],
      'ipv4-network': '10.1.0.0/16',
      'tcp-port': 4443,
      vhosts: { 'b.example': { banner: 'Hello' } },
    };
    const json = loadConfig({ file: write('a.json', JSON.stringify(document)), dataDir: directory });
    expect({ ...json, source }).toEqual(yaml);
  });

  test('options of the command line win over the file', () => {
    const file = write('a.yml', YAML);
    expect(loadConfig({ file, dataDir: directory, overrides: { 'tcp-port': 1 } }).default['tcp-port']).toBe(
      1,
    );
  });

  test.each([
    ['missing.yaml', null, 'there is no such file'],
    ['code.js', 'process.exit(99)', 'programs are never run'],
    ['code.mjs', 'process.exit(99)', 'programs are never run'],
    ['code.ts', 'process.exit(99)', 'programs are never run'],
    ['nul.conf', 'auth = plain\0', 'NUL bytes'],
    ['binary.conf', Buffer.from([0xff, 0xfe, 0x80, 0x0a]), 'UTF-8'],
    ['large.conf', `banner = ${'x'.repeat(10_000_000)}`, 'larger than 1024 KiB'],
    ['large.yaml', `banner: ${'x'.repeat(10_000_000)}`, 'larger than 1024 KiB'],
  ])('%s is refused, and nothing is executed', (name, text, reason) => {
    const file = text === null ? join(directory, name) : write(name, text);
    expect(() => loadConfig({ file, dataDir: directory })).toThrowError(
      expect.objectContaining({ code: 'OCS_FILE', message: expect.stringContaining(reason) }),
    );
  });

  test('directories, pipes, devices and circles of links are refused', () => {
    mkdirSync(join(directory, 'folder.yaml'));
    execFileSync('mkfifo', [join(directory, 'pipe.conf')]);
    symlinkSync(join(directory, 'b.conf'), join(directory, 'a.conf'));
    symlinkSync(join(directory, 'a.conf'), join(directory, 'b.conf'));
    const reasons = ['folder.yaml', 'pipe.conf', 'a.conf', '/dev/zero'].map((name) => {
      try {
        return loadConfig({ file: resolve(directory, name), dataDir: directory });
      } catch (error) {
        return error instanceof VpnError ? error.details.reason : error;
      }
    });
    expect(reasons).toEqual([
      'it is not a regular file',
      'it is not a regular file',
      'its symbolic links go round in circles',
      'it is not a regular file',
    ]);
  });

  test.each([
    ['bad.yaml', 'a: [', ':1: Flow sequence'],
    ['twice.yaml', 'dpd: 1\ndpd: 2\n', ':2: Map keys must be unique'],
    ['bad.json', '{', 'JSON'],
    ['lax.json', '{dpd: 1}', 'JSON'],
    ['empty.yaml', '', 'the file is empty'],
    ['list.yaml', '- a\n- b', ':1: the file is not a mapping of options'],
    ['text.yaml', 'just a text', ':1: the file is not a mapping of options'],
    ['import.yaml', '$import: ./code.js\n', ':1: $import: unknown option'],
    ['line.conf', `banner = ${'x'.repeat(20_000)}`, ':1: the line is longer than 16384 characters'],
    ['laughs.yaml', laughs(), 'alias'],
  ])('%s: one error that names the file', (name, text, mistake) => {
    write('code.js', 'process.exit(99)');
    const file = write(name, text);
    const found = problemsOf(() => loadConfig({ file, dataDir: directory }));
    expect(found.join('\n')).toContain(mistake);
    expect(found.every((line) => line.startsWith(file))).toBe(true);
  });
});

/** A few bytes that stand for a value of billions. */
function laughs(): string {
  const levels = Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(10)}]`);
  return ['a0: &a0 [x]', ...levels].join('\n');
}

test('every mistake is reported, with file, virtual host, option and what was meant', () => {
  const document = {
    ...BASE,
    'tcp-prot': 1,
    dpd: 'often',
    'udp-port': 70_000,
    mtu: -1,
    'rekey-method': 'never',
    dns: [1],
    vhosts: { x: { 'tcp-port': 1, banner: 3 } },
  };
  expect(problems(document)).toEqual([
    '/etc/vpn.yaml: tcp-prot: unknown option, did you mean tcp-port?',
    '/etc/vpn.yaml: dpd: must be a whole number, not "often"',
    '/etc/vpn.yaml: udp-port: must be at most 65535, not 70000',
    '/etc/vpn.yaml: mtu: must be at least 0 bytes, not -1',
    '/etc/vpn.yaml: rekey-method: must be one of ssl, new-tunnel, not "never"',
    '/etc/vpn.yaml: dns: must be a list of texts, not [1]',
    '/etc/vpn.yaml: [vhost x] tcp-port: belongs to the whole server and cannot be set for one virtual host',
    '/etc/vpn.yaml: [vhost x] banner: must be a text, not 3',
  ]);
});

test.each([
  [{ auth: [] }, 'auth'],
  [{ auth: ['plain[passwd=/x]', 'pam'] }, 'auth'],
  [{ auth: ['plain[passwd=/x'] }, 'auth'],
  [{ auth: ['plain[passwd=a,passwd=b]'] }, 'auth'],
  [{ 'server-cert': [] }, 'server-cert'],
  [{ 'server-key': ['a', 'b'] }, 'server-key'],
  [{ 'ipv4-network': '' }, 'ipv4-network'],
  [{ 'ipv4-network': '10.0.0.0/31' }, 'ipv4-network'],
  [{ 'ipv4-network': 'fd00::/64' }, 'ipv4-network'],
  [{ 'ipv4-network': '10.0.0.0', 'ipv4-netmask': '255.0.255.0' }, 'ipv4-network'],
  [{ 'ipv6-network': '10.0.0.0/8' }, 'ipv6-network'],
  [{ 'ipv6-network': 'fd00::/64', 'ipv6-subnet-prefix': 64 }, 'ipv6-subnet-prefix'],
  [{ route: ['10.0.0.0/33'] }, 'route'],
  [{ 'no-route': ['default'] }, 'no-route'],
  [{ dns: ['one.one.one.one'] }, 'dns'],
  [{ nbns: ['10.0.0.256'] }, 'nbns'],
  [{ banner: 'ü'.repeat(129) }, 'banner'],
  [{ device: 'a/b' }, 'device'],
  [{ device: 'toolongdevice' }, 'device'],
])('%j: the mistake is in %s', (changes, option) => {
  const found = problems({ ...BASE, ...changes });
  expect(found.some((line) => line.includes(`: ${option}: `))).toBe(true);
});

test('a virtual host has what the default one has, but for its own', () => {
  const document = {
    ...BASE,
    dns: ['192.0.2.1'],
    banner: 'main',
    vhosts: { x: { banner: 'x', dns: ['192.0.2.2', '192.0.2.3'] } },
  };
  const { vhosts, default: main } = buildConfig(document, {}, null);
  expect(vhosts.get('x')).toMatchObject({
    name: 'x',
    banner: 'x',
    dns: ['192.0.2.2', '192.0.2.3'],
    auth: BASE.auth,
  });
  expect(main).toMatchObject({ banner: 'main', dns: ['192.0.2.1'] });
});

test('the embedded default is complete, private, and the same at every start', () => {
  const config = loadConfig({ dataDir: directory });
  expect(config).toEqual(loadConfig({ dataDir: directory }));
  expect(config.source).toBeNull();
  expect(config.default['ipv4-network']).toMatch(/^10\.99\.\d+\.0\/24$/);
  expect(config.default['ipv6-network']).toMatch(/^fd[0-9a-f]{2}:[0-9a-f]{4}:[0-9a-f]{4}::\/48$/);
  expect(config.default).toMatchObject({ nat: true, auth: [`plain[passwd=${directory}/ocpasswd]`] });
  expect(config.default.dns.length).toBeGreaterThan(0);
});

test('a session gets routes and pools in the form of the wire', () => {
  const document = {
    ...BASE,
    'ipv4-network': '10.5.0.77',
    'ipv4-netmask': '255.255.0.0',
    'ipv6-network': 'fd00:1::9/48',
    route: ['10.1.2.3/8', '172.16.0.0/255.240.0.0', 'fd00:2::1/64', '192.0.2.1'],
    'no-route': ['10.9.0.0/16'],
    'idle-timeout': 60,
  };
  expect(sessionConfig(buildConfig(document, {}, null).default)).toMatchObject({
    ipv4Network: '10.5.0.0',
    ipv4Netmask: '255.255.0.0',
    ipv6Network: 'fd00:1::/48',
    ipv6SubnetPrefix: 128,
    routes: ['10.0.0.0/255.0.0.0', '172.16.0.0/255.240.0.0', 'fd00:2::/64', '192.0.2.1/255.255.255.255'],
    noRoutes: ['10.9.0.0/255.255.0.0'],
    idleTimeoutSec: 60,
    mobileIdleTimeoutSec: 60,
  });
});

test.each([
  [{ ipv6Network: 'fd88:1::/64' }, 'fd88:1::1', 64],
  [{ ipv6Network: 'fd88:1::5/128' }, 'fd88:1::5', 128],
  [{ ipv6Network: 'fd88:1::/56', ipv6: 'fd88:1:0:7::9' }, 'fd88:1:0:7::9', 56],
])('a back end gives a client a network of its own: %j', (settings, explicitIpv6, ipv6SubnetPrefix) => {
  const document = { ...BASE, 'ipv6-network': 'fd99::/64' };
  const config = withSessionSettings(buildConfig(document, {}, null).default, settings);
  expect(sessionConfig(config)).toMatchObject({ ipv6Network: 'fd99::/64', explicitIpv6, ipv6SubnetPrefix });
});

test.each(['default', '0.0.0.0/0', '::/0'])('route %s means everything', (route) => {
  const { default: vhost } = buildConfig({ ...BASE, route: ['10.0.0.0/8', route] }, {}, null);
  expect(sessionConfig(vhost).routes).toEqual([]);
});

test('a reload changes what it may and names the rest', () => {
  const running = buildConfig(
    { ...BASE, banner: 'old', vhosts: { gone: {}, kept: { banner: 'old' } } },
    {},
    null,
  );
  const fresh = buildConfig(
    { ...BASE, auth: ['plain[passwd=/y]'], 'tcp-port': 1, banner: 'new', vhosts: { kept: {}, fresh: {} } },
    {},
    null,
  );
  const next = reloaded(running, fresh);
  expect(next.default).toMatchObject({ banner: 'new', 'tcp-port': 443, auth: BASE.auth });
  expect(next.vhosts.get('kept')).toMatchObject({ banner: 'new', auth: BASE.auth });
  expect([...next.vhosts.keys()]).toEqual(['kept', 'fresh']);
  expect(needsRestart(running.default, fresh.default)).toEqual(['auth', 'tcp-port']);
});
