/** ocserv's own format: what inih and ocserv read, virtual hosts, and what is an error here. */
import { chmodSync, chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findConfig, searchPlaces } from '../../src/core/config/find.js';
import { loadDetailed } from '../../src/core/config/load.js';
import { parseConf } from '../../src/core/config/ocserv-conf.js';
import { VpnError } from '../../src/core/errors.js';

const BASE = `auth = "plain[passwd=/etc/ocserv/ocpasswd]"
server-cert = /c.pem
server-key = /k.pem
ipv4-network = 10.0.0.0/24
`;
/** Lines of BASE, so that tests can name the line after it. */
const L = 5;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-conf-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function load(text: string) {
  const file = join(directory, 'o.conf');
  writeFileSync(file, text);
  return loadDetailed({ file, dataDir: directory });
}

function problems(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    if (error instanceof VpnError) {
      return String(error.details.detail)
        .split('\n')
        .map((line) => line.replace(`${directory}/o.conf`, 'FILE'));
    }
    throw error;
  }
  return [];
}

const settings = (text: string) =>
  parseConf(text, { isVerbatim: (option) => option === 'included-http-headers' }).settings.map(
    ({ option, value, line }) => [option, value, line],
  );

describe('lines', () => {
  test.each([
    ['dpd = 9', 'dpd', '9'],
    ['dpd=9', 'dpd', '9'],
    ['dpd : 9', 'dpd', '9'],
    ['  dpd = 9  ', 'dpd', '9'],
    ['banner = "Hello ; world"', 'banner', 'Hello ; world'],
    ['banner = "Hello" ; a comment', 'banner', 'Hello'],
    ['banner = "Hello" # "a comment"', 'banner', 'Hello'],
    ['banner = Room #5', 'banner', 'Room #5'],
    ['banner = one ;two', 'banner', 'one'],
    ['banner = one;two', 'banner', 'one;two'],
    ['banner = say "it"', 'banner', 'say "it"'],
    ['banner = "The "best" VPN"', 'banner', 'The "best" VPN'],
    ['banner =', 'banner', ''],
    ['included-http-headers = A: "b"', 'included-http-headers', 'A: "b"'],
    ['included-http-headers = "A: b"', 'included-http-headers', '"A: b"'],
    ['auth = "plain[passwd=/a,otp=/b]"', 'auth', 'plain[passwd=/a,otp=/b]'],
    ['\uFEFFdpd = 9', 'dpd', '9'],
    ['dpd = 9\r', 'dpd', '9'],
  ])('%j', (line, option, value) => expect(settings(line)).toEqual([[option, value, 1]]));

  test('comments and empty lines say nothing; lines are counted', () => {
    expect(settings('# a\n; b\n\n   # c\ndpd = 1\n')).toEqual([['dpd', '1', 5]]);
  });

  test('an indented line goes on with the option before it, unless it is one itself', () => {
    expect(settings('dns = 1.1.1.1\n  9.9.9.9\n  nbns = 2.2.2.2\n')).toEqual([
      ['dns', '1.1.1.1', 1],
      ['dns', '9.9.9.9', 2],
      ['nbns', '2.2.2.2', 3],
    ]);
  });
});

describe('values', () => {
  test('have the types of the schema; lists are repeated; older names count', () => {
    const { config } = load(`${BASE}tcp-port = 444 # comment
use-seccomp = YES
min-reauth-time = 7
ipv4-dns = 1.1.1.1
dns = 9.9.9.9
ipv6-dns = fd00::1
net-priority = 0x20
ipv6-network = fd00::
ipv6-prefix = 48
`);
    expect(config.default).toMatchObject({
      'tcp-port': 444,
      'isolate-workers': true,
      'ban-time': 7,
      dns: ['1.1.1.1', '9.9.9.9', 'fd00::1'],
      'net-priority': 32,
      'ipv6-network': 'fd00::/48',
    });
  });

  test('what the file leaves out has the defaults of ocserv where ours differ', () => {
    expect(load(BASE).config.default).toMatchObject({ 'udp-port': 0, 'rekey-method': 'new-tunnel' });
  });

  test.each([
    ['dpd = often', 'dpd: must be a whole number, not "often"'],
    ['dpd = 9 seconds', 'dpd: must be a whole number, not "9 seconds"'],
    ['dpd = 0x20', 'dpd: must be a whole number, not "0x20"'],
    ['dpd = -1', 'dpd: must be at least 0 seconds, not -1'],
    ['use-occtl = 1', 'use-occtl: must be true or false, not "1"'],
    ['use-occtl =', 'use-occtl: must be true or false, not ""'],
    ['dns =', 'dns: has no value'],
    ['dns = 1.1.1', 'dns: "1.1.1" is not an IP address'],
    [
      'route = 10.0.0.0/33',
      'route: "10.0.0.0/33" is not a network (address/prefix, address/mask or default)',
    ],
    ['banner = "open', 'banner: has a quote that is not closed'],
    ['banner', '"banner" is not of the form "option = value"'],
    ['[other]', '"[other]" is no section; there is only [vhost:NAME]'],
    ['[vhost:]', '"[vhost:]" needs a name other than "default"'],
    ['[vhost:default]', '"[vhost:default]" needs a name other than "default"'],
    ['tcp-prot = 1', 'tcp-prot: unknown option, did you mean tcp-port?'],
    ['min-reauth-tim = 1', 'min-reauth-tim: unknown option, did you mean min-reauth-time?'],
    ['zzzzzzzzz = 1', 'zzzzzzzzz: unknown option'],
    [
      'server-key = pkcs11:token=x',
      'server-key: "pkcs11:token=x" is a key in a token, which cannot be used; give a file',
    ],
    ['iroute = 10.0.0.0/8', 'iroute: belongs in a file of config-per-user or config-per-group'],
    ['listen-clear-file = /x', /listen-clear-file: removed from ocserv/],
    ['srk-pin = hush', /srk-pin: keys in a TPM/],
    ['restrict-user-to-ports = "tcp(443), http(1)"', /restrict-user-to-ports: .* is not of the form/],
    ['custom-header = nothing', 'custom-header: "nothing" is not of the form "Name: value"'],
    ['kkdcp = "/KdcProxy R udp@127.0.0.1"', /kkdcp: .* is not of the form/],
    ['cert-user-oid = CN', /cert-user-oid: "CN" is neither/],
    ['device = a/b', /device: "a\/b" is no prefix/],
    ['default-domain = a_b.c ?', /default-domain: .* is not a list of domains/],
  ])('%s is an error with its line', (line, problem) => {
    const [found = ''] = problems(`${BASE}${line}\n`);
    expect(found.slice(0, `FILE:${L}: `.length)).toBe(`FILE:${L}: `);
    if (typeof problem === 'string') expect(found).toBe(`FILE:${L}: ${problem}`);
    else expect(found).toMatch(problem);
  });

  test.each([
    'kkdcp = "/KdcProxy KERBEROS.REALM tcp@[::1]:88"',
    'restrict-user-to-ports = "!(tcp(443), tcp(80))"',
    'restrict-user-to-ports = "tcp(443), sctp(99), icmp(), icmpv6()"',
    'cert-user-oid = SAN(rfc822name)',
    'select-group = tech[Technical people]',
    'default-domain = "example.com one.example.com"',
    'split-dns = bücher.example',
    'proxy-url = http://example.com/%{U}/',
    'listen-host = vpn.example.com',
  ])('%s is fine', (line) => expect(problems(`${BASE}${line}\n`)).toEqual([]));

  test('a value given twice is an error, by its older name as well', () => {
    expect(problems(`${BASE}dpd = 1\ndpd = 1\nban-time = 1\nmin-reauth-time = 2\n`)).toEqual([
      `FILE:${L + 1}: dpd: is given twice, first in line ${L}`,
      `FILE:${L + 3}: min-reauth-time: is given twice, first in line ${L + 2}`,
    ]);
  });

  test('all mistakes come at once, also those of the whole', () => {
    expect(
      problems('auth = plain[/x]\ndpd = x\nipv6-network = fd00::/127\n[vhost:b]\nkeepalive = y\n'),
    ).toEqual([
      'FILE:2: dpd: must be a whole number, not "x"',
      'FILE:5: [vhost b] keepalive: must be a whole number, not "y"',
      'FILE: server-cert: is missing',
      'FILE:3: ipv6-network: "fd00::/127" is no IPv6 network with a length of at most 126',
    ]);
  });

  test('a file of garbage makes a bounded number of lines', () => {
    expect(problems('what is this\n'.repeat(5000)).length).toBe(101);
  });

  test('a secret is not shown', () => {
    expect(problems(`${BASE}camouflage_secret = "top secret"\n`).join()).not.toContain('top secret');
  });
});

describe('contradictions', () => {
  test.each([
    ['match-tls-dtls-ciphers = true', 'match-tls-dtls-ciphers'],
    ['cisco-svc-client-compat = true\nudp-port = 4443', 'cisco-svc-client-compat'],
    ['tls-priorities = FAST', 'tls-priorities'],
    ['camouflage = true', 'camouflage_secret'],
    ['ipv4-netmask = 255.255.0.0', 'ipv4-netmask'],
    ['server-cert = /second.pem', 'server-key'],
    ['enable-auth = pam', 'auth'],
    ['enable-auth = certificate', 'ca-cert'],
    ['ipv6-network = fd00::/64\nipv6-subnet-prefix = 64', 'ipv6-subnet-prefix'],
    ['[vhost:b]\nipv4-network = 10.0.0.128/25', '[vhost b] ipv4-network'],
    ['[vhost:b]\ntcp-port = 1', '[vhost b] tcp-port'],
    ['[vhost:b]\nserver-cert = /b.pem', '[vhost b] server-key'],
  ])('%j', (lines, option) => {
    const found = problems(`${BASE}${lines}\n`);
    expect(found.filter((line) => line.includes(`: ${option}: `))).toHaveLength(1);
  });

  test('groups from RADIUS and from files exclude each other', () => {
    const text = BASE.replace(/auth = .*/, 'auth = radius[config=/x,groupconfig=true]');
    expect(problems(`${text}config-per-user = /d\n`)).toEqual([
      `FILE:${L}: config-per-user: cannot be used with groupconfig=true in auth`,
    ]);
  });

  test('match-tls-dtls-ciphers is fine without dtls-legacy', () => {
    expect(problems(`${BASE}match-tls-dtls-ciphers = true\ndtls-legacy = false\n`)).toEqual([]);
  });
});

describe('virtual hosts', () => {
  const text = `${BASE}dns = 1.1.1.1
banner = main
enable-auth = certificate
ca-cert = /ca.pem
cert-user-oid = 2.5.4.3
[vhost:B.example]
dns = 2.2.2.2
auth = pam
[vhost:c.example]
server-cert = /c1.pem
server-key = /c1.key
[vhost:b.example]
dns = 3.3.3.3
`;

  test('inherit scalars, add to lists that a reload may change, and replace methods and keys as a block', () => {
    const { vhosts } = load(text).config;
    expect([...vhosts.keys()]).toEqual(['b.example', 'c.example']);
    expect(vhosts.get('b.example')).toMatchObject({
      dns: ['1.1.1.1', '2.2.2.2', '3.3.3.3'],
      banner: 'main',
      auth: ['pam'],
      'enable-auth': [],
      'server-cert': ['/c.pem'],
    });
    expect(vhosts.get('c.example')).toMatchObject({
      dns: ['1.1.1.1'],
      'enable-auth': ['certificate'],
      'server-cert': ['/c1.pem'],
      'server-key': ['/c1.key'],
    });
  });

  test('every option knows its line', () => {
    const { origins } = load(text);
    expect(origins.get('b.example')?.get('dns')).toMatch(/o\.conf:11$/);
    expect(origins.get('b.example')?.get('banner')).toMatch(/o\.conf:6$/);
    expect(origins.get('default')?.get('dpd')).toBeUndefined();
  });

  test('one without any certificate is an error', () => {
    expect(problems(`auth = plain\nipv4-network = 10.0.0.0/24\n[vhost:b]\nauth = pam\n`)).toEqual([
      'FILE: server-cert: is missing',
    ]);
  });
});

describe('cisco-client-compat', () => {
  test('turns on what AnyConnect needs, TLS 1.3 off unless tls-priorities is set', () => {
    const on = load(`${BASE}cisco-client-compat = true\ndtls-legacy = false\n`).config.default;
    expect(on).toMatchObject({
      'dtls-legacy': true,
      'select-group-by-url': true,
      'tls-priorities': 'NORMAL:%SERVER_PRECEDENCE:%COMPAT:-VERS-TLS1.3',
    });
    const set = load(`${BASE}cisco-client-compat = true\ntls-priorities = NORMAL\n`).config.default;
    expect(set['tls-priorities']).toBe('NORMAL');
  });
});

test.skipIf(!existsSync('/etc/ocserv/ocserv.conf'))('the file of the Debian package loads unchanged', () => {
  const { config, notices } = loadDetailed({ file: '/etc/ocserv/ocserv.conf', dataDir: directory });
  expect(config.default).toMatchObject({
    'tcp-port': 443,
    'udp-port': 443,
    'max-clients': 16,
    'ban-time': 300,
    route: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
    'server-cert': [join(directory, 'pki/server.crt')],
  });
  expect(notices[0]).toMatch(/server-cert: is not set, the self-made certificate in .* is used/);
});

describe('the search', () => {
  test('takes the first that is there', () => {
    const places = searchPlaces(directory, join(directory, 'etc'));
    expect(findConfig(places)).toBeNull();
    writeFileSync(join(directory, '.vpnrc'), '');
    expect(findConfig(places)).toBe(join(directory, '.vpnrc'));
    writeFileSync(join(directory, 'vpn.config.json'), '{}');
    expect(findConfig(places)).toBe(join(directory, 'vpn.config.json'));
  });

  test('looks in no directory above', () => {
    writeFileSync(join(directory, 'vpn.config.yaml'), '');
    expect(findConfig(searchPlaces(join(directory, 'below'), join(directory, 'etc')))).toBeNull();
  });

  test('refuses what somebody else could have put there', () => {
    const file = join(directory, 'vpn.config.yaml');
    writeFileSync(file, '', { mode: 0o600 });
    const owner = process.getuid?.() ?? 0;
    expect(findConfig([file], owner)).toBe(file);
    chmodSync(file, 0o666);
    expect(() => findConfig([file], owner)).toThrow('others may write to it');
  });

  test.runIf(process.getuid?.() === 0)('refuses a file of another user', () => {
    const file = join(directory, 'vpn.config.yaml');
    writeFileSync(file, '', { mode: 0o600 });
    chownSync(file, 65534, 65534);
    expect(() => findConfig([file])).toThrow('belongs to another user');
  });
});
