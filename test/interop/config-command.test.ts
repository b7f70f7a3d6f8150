/** `vpn config` as an administrator calls it: what it prints, its exit status, and never a stack trace. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { makeKeyPair } from '../support/secmod-lab.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');
const compat = join(import.meta.dirname, '../../bin/compat/ocserv');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ocvpn-config-command-'));
  writeFileSync(at('ocpasswd'), '');
  for (const [index, path] of makeKeyPair(folder, 'P-256').entries())
    renameSync(path, at(index === 0 ? 'cert.pem' : 'key.pem'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

function config(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, 'config', ...args], {
    encoding: 'utf8',
    cwd: folder,
  });
  expect(stderr).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
  return { status, stdout, stderr };
}

const BASE = `# a comment
auth = "plain[passwd=./ocpasswd]"
server-cert = cert.pem
server-key = key.pem
tcp-port = 4443
device = vpns
ipv4-network = 10.0.0.0/24
`;
function file(name: string, text: string | Buffer): string {
  writeFileSync(at(name), text);
  return name;
}
const conf = (name: string, ...lines: string[]): string => file(name, `${BASE}${lines.join('\n')}\n`);

function link(name: string): string {
  symlinkSync(name, at(name));
  return name;
}
function fifo(name: string): string {
  execFileSync('mkfifo', [at(name)]);
  return name;
}

test('a good file: exit status 0, with notices for what has no effect', () => {
  const { status, stdout } = config('check', conf('good.conf', 'dh-params = cert.pem', 'banner = "hello"'));
  expect(status).toBe(0);
  expect(stdout).toContain(`notice: ${at('good.conf')}:8: dh-params: has no effect`);
  expect(stdout).toContain('no mistakes (the default virtual host)');
});

const bad: [string, () => string, RegExp[]][] = [
  [
    'binary garbage',
    () => file('a', Buffer.from('\x00\xff\x01'.repeat(999), 'latin1')),
    [/a cannot be used: it is not a text file/],
  ],
  ['a line of 10 MB', () => file('a', `route = ${'1'.repeat(10_000_000)}`), [/larger than 1024 KiB/]],
  ['no such file', () => 'missing.conf', [/there is no such file/]],
  ['a circle of symbolic links', () => link('loop'), [/go round in circles/]],
  ['a FIFO', () => fifo('fifo'), [/not a regular file/]],
  ['an empty file', () => file('a', ''), [/auth: is missing/]],
  ['broken YAML', () => file('a.yaml', 'auth: [plain\n'), [/a\.yaml:2: /]],
  ['broken JSON', () => file('a.json', '{"auth": }'), [/a\.json: /]],
  ['a program', () => file('a.mjs', 'process.exit(0)'), [/programs are never run/]],
  [
    'values',
    () =>
      conf(
        'a',
        'tcp-prot = 3',
        'tcp-port = 3',
        'mtu = many',
        `banner = ${'x'.repeat(20_000)}`,
        '[vhost:b.example]',
        'tcp-port = 3',
      ),
    [
      /a:8: tcp-prot: unknown option, did you mean tcp-port\?/,
      /a:9: tcp-port: is given twice, first in line 5/,
      /a:10: mtu: must be a whole number, not "many"/,
      /a:11: the line is longer than/,
      /a:13: \[vhost b\.example\] tcp-port: belongs to the whole server/,
    ],
  ],
  [
    'what does not go together, and what is not there',
    () =>
      conf(
        'a',
        'ipv6-network = fd00::/127',
        'match-tls-dtls-ciphers = true',
        'dtls-legacy = true',
        'tls-priorities = NORMAL:-KX-ALL:+RSA',
        'crl = no.pem',
        '[vhost:b.example]',
        'server-cert = cert.pem',
        'ipv4-network = 10.0.0.128/25',
      ),
    [
      /a:8: ipv6-network: .* at most 126/,
      /a:9: match-tls-dtls-ciphers: cannot be used with dtls-legacy/,
      /a:11: tls-priorities: .*since \+RSA/,
      /a:12: crl: file "no\.pem": there is no such file/,
      /\[vhost b\.example\] server-key: 0 given for 1/,
      /a:15: \[vhost b\.example\] ipv4-network: 10\.0\.0\.128\/25 overlaps/,
    ],
  ],
];

test.each(bad)('check: %s: sentences and exit status 1', (_, make, sentences) => {
  const { status, stdout, stderr } = config('check', make());
  expect(status).toBe(1);
  for (const sentence of sentences) expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^vpn: /);
  expect(stdout).toBe('');
});

test('keys and back ends that secmod would refuse, from vpn config check and ocserv -t', () => {
  const [, other] = makeKeyPair(folder, 'P-256');
  const swapped = file('swapped.conf', BASE.replace('key.pem', other));
  const broken = file('broken.conf', BASE.replace('key.pem', 'ocpasswd'));
  const method = (name: string, text: string) => file(name, BASE.replace(/plain\[.*\]/, text));
  const [typo, unknown] = [
    method('typo.conf', 'plian[passwd=./ocpasswd]'),
    method('oidc.conf', 'oidc[config=./x]'),
  ];
  const option = method('option.conf', 'plain[passwd=./ocpasswd,opt=./otp]');
  const acct = file('acct.conf', `${BASE}acct = "radius[config=ocpasswd,groupconfig=true]"\n`);
  for (const [path, sentence] of [
    [typo, `${typo}:2: auth: plian[passwd=./ocpasswd]: no such back end, did you mean plain?`],
    [unknown, `${unknown}:2: auth: oidc[config=./x]: no such back end, there is: certificate, `],
    [
      option,
      `${option}:2: auth: plain[passwd=./ocpasswd,opt=./otp]: plain has no sub-option "opt", did you mean otp?`,
    ],
    [
      acct,
      `${acct}:8: acct: radius[config=ocpasswd,groupconfig=true]: radius has no sub-option "groupconfig"`,
    ],
    [
      swapped,
      `${swapped}:4: server-key: The private key ${other} does not belong to the certificate cert.pem`,
    ],
    [broken, `${broken}:4: server-key: The private key ocpasswd cannot be used`],
  ] as const) {
    const results = [
      config('check', path),
      spawnSync(compat, ['-t', '-c', path], { encoding: 'utf8', cwd: folder }),
    ];
    for (const { status, stderr } of results) {
      expect(status).toBe(1);
      expect(stderr).toContain(sentence);
    }
  }
});

test('a file that may not be read', () => {
  chmodSync(folder, 0o755);
  conf('secret.conf');
  chmodSync(at('secret.conf'), 0o600);
  const nobody = { uid: 65534, gid: 65534, encoding: 'utf8' } as const;
  const { status, stderr } = spawnSync(
    process.execPath,
    [launcher, 'config', 'check', at('secret.conf')],
    nobody,
  );
  expect(stderr).toContain('permission denied');
  expect(status).toBe(1);
});

test('vpn serve and ocserv -t start nothing on a bad file and say the same', () => {
  const path = conf('bad.conf', 'server-kye = x', 'connect-script = ./cert.pem');
  for (const [program, args] of [
    [process.execPath, [launcher, 'serve', '-c', path, '--data-dir', at('data'), '--run-dir', at('run')]],
    [compat, ['-t', '-c', path]],
  ] as const) {
    const result = spawnSync(program, args, { encoding: 'utf8', cwd: folder });
    expect(result.status).toBe(1);
    expect(result.stderr).toContain(':8: server-kye: unknown option, did you mean server-key?');
    expect(result.stderr).toContain(':9: connect-script: program "./cert.pem": it may not be run');
  }
});

test('show: what is in force and where it was set, without secrets', () => {
  const path = conf(
    'show.conf',
    'camouflage = true',
    'camouflage_secret = hunter2',
    '[vhost:b.example]',
    'banner = b',
  );
  const { status, stdout } = config('show', '-c', path, '--origin');
  expect(status).toBe(0);
  expect(parse(stdout)).toMatchObject({
    'tcp-port': 4443,
    'udp-port': 0,
    camouflage_secret: '(hidden)',
    vhosts: { 'b.example': { banner: 'b' } },
  });
  expect(stdout).toContain(`# ${at(path)}:5\ntcp-port: 4443`);
  expect(stdout).not.toContain('hunter2');
  const json = JSON.parse(config('show', '-c', path, '--json', '--all').stdout) as Record<string, unknown>;
  expect(json).toMatchObject({ 'tcp-port': 4443, keepalive: 32400 });
});

test('convert: to YAML and back nothing changes; an existing file is kept without --force', () => {
  const path = conf(
    'from.conf',
    'route = 10.1.0.0/16',
    '[vhost:b.example]',
    'route = 10.2.0.0/16',
    'banner = "b;#"',
  );
  expect(config('convert', path, 'to.yaml').status).toBe(0);
  expect(config('convert', 'to.yaml', 'back.conf').status).toBe(0);
  expect(config('diff', '-c', path, 'back.conf').stdout).toBe('Nothing would change.\n');
  const again = config('convert', path, 'to.yaml');
  expect(again).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('it exists; --force replaces it'),
  });
  expect(config('convert', path, 'to.yaml', '--force').status).toBe(0);
  expect(parse(config('convert', path, '-').stdout)).toMatchObject({ route: ['10.1.0.0/16'] });
});

test('diff: what changes, when, and for whom', () => {
  const old = conf('old.conf', '[vhost:b.example]', '[vhost:gone.example]');
  const text = BASE.replace('4443', '4444');
  const fresh = file(
    'new.conf',
    `${text}dns = 9.9.9.9\nmax-clients = 9\nbanner = x\n[vhost:b.example]\nbanner = y\n[vhost:c.example]\n`,
  );
  const { status, stdout } = config('diff', '-c', old, fresh);
  expect(status).toBe(0);
  expect(stdout.trim().split('\n')).toEqual([
    'tcp-port: 4443 → 4444 (after a restart)',
    'max-clients: 0 → 9 (at a reload, for the whole server)',
    'dns: [] → ["9.9.9.9"] (at a reload, for new sessions whose user and group files do not say otherwise)',
    'banner: "" → "x" (at a reload, for new connections)',
    '[vhost b.example] banner: "" → "y" (at a reload, for new connections)',
    expect.stringMatching(/^\[vhost c\.example\] virtual host: null → "added"/),
    expect.stringMatching(/^\[vhost gone\.example\] virtual host: "present" → null/),
  ]);
  const json = JSON.parse(config('diff', '-c', old, fresh, '--json').stdout) as object[];
  expect(json[0]).toEqual({
    vhost: 'default',
    option: 'tcp-port',
    before: 4443,
    after: 4444,
    effect: 'after a restart',
  });
  expect(config('diff', '-c', old, 'missing.conf').status).toBe(1);
});
