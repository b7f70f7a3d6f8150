/** `vpn doctor`: each thing that can be wrong is found and comes with a remedy; what is right is said to be right. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildConfig } from '../../src/core/config/load.js';
import { certificates } from '../../src/core/doctor/certificates.js';
import { examine, exitStatus, findingsText } from '../../src/core/doctor/doctor.js';
import type { Finding, Patient } from '../../src/core/doctor/finding.js';
import { folderPrefix, namespaceName, removeNamespace } from '../support/sweep.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');
const namespace = namespaceName(String(process.pid), 'doctor', 'host');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(folderPrefix(String(process.pid), 'doctor'));
  mkdirSync(join(folder, 'pki'));
  execFileSync('ip', ['netns', 'add', namespace]);
  execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
});
afterAll(() => {
  removeNamespace(namespace);
  rmSync(folder, { recursive: true });
});

/** `vpn doctor` in a network of its own. */
const doctor = (config: object, ...words: string[]) =>
  doctorIn(['ip', 'netns', 'exec', namespace], config, ...words);

function doctorIn([within = '', ...how]: string[], config: object, ...words: string[]) {
  const file = join(folder, 'doctor.config.json');
  writeFileSync(file, JSON.stringify(config));
  const command = [
    process.execPath,
    launcher,
    'doctor',
    '-c',
    file,
    '--data-dir',
    folder,
    '--run-dir',
    folder,
  ];
  const { status, stdout, stderr } = spawnSync(within, [...how, ...command, ...words], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const base = {
  auth: ['plain[passwd=/dev/null]'],
  'tcp-port': 4443,
  'udp-port': 4443,
  'ipv4-network': '10.9.0.0/24',
  dns: ['127.0.0.9'],
};

describe('in a network of its own', () => {
  it('finds what is broken, with a remedy for each, and ends with 1', () => {
    const { status, stdout } = doctor(
      { ...base, 'run-as-user': 'daemon', nat: false, 'udp-port': 0 },
      '--json',
    );
    const findings = JSON.parse(stdout) as Finding[];
    const levelOf = (check: string) =>
      findings.filter((one) => one.check === check).map(({ level }) => level);
    expect(status).toBe(1);
    expect(findings.filter(({ level, mend }) => (level === 'ok') !== (mend === ''))).toEqual([]);
    expect(levelOf('tun')).toEqual(['ok']);
    expect(levelOf('rights')).toEqual(['ok']);
    expect(levelOf('forwarding')).toEqual(['error']);
    expect(findings.find(({ check }) => check === 'forwarding')?.mend).toContain(
      'sysctl -w net.ipv4.ip_forward=1',
    );
    expect(levelOf('ports')).toEqual(['ok', 'warning']);
    expect(levelOf('dns')).toEqual(['warning']);
    expect(levelOf('mtu')).toEqual(['warning']);
  });

  it('ends with 0 when nothing is broken; warnings do not count', () => {
    const { status, stdout } = doctor({ ...base, 'run-as-user': 'nobody', nat: true });
    expect(stdout).toMatch(/^ok {7}forwarding .*the server turns it on/m);
    expect(stdout).toMatch(/^warning +rights +.*Workers run as nobody/m);
    expect(stdout).toMatch(/\n0 errors, \d+ warnings\n$/);
    expect(status).toBe(0);
  });

  it('names a port that somebody else has, and a firewall that drops what is forwarded', async () => {
    const script = 'require("net").createServer().listen(4443, "0.0.0.0", () => console.log("up"))';
    const hook = 'type filter hook forward priority 0; policy drop;';
    const rules = `table inet other {\nchain transit {\n${hook}\n}\n}\n`;
    execFileSync('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], { input: rules });
    const shell = `exec 3< <(exec "${process.execPath}" -e '${script}'); pid=$!; read -u 3 up; "$@"; status=$?; kill $pid; exit $status`;
    const command = [process.execPath, launcher, 'doctor', '-c', join(folder, 'doctor.config.json')];
    const { status, stdout } = spawnSync(
      'ip',
      [
        'netns',
        'exec',
        namespace,
        'bash',
        '-c',
        shell,
        'sh',
        ...command,
        '--data-dir',
        folder,
        '--run-dir',
        folder,
      ],
      { encoding: 'utf8' },
    );
    expect(stdout).toMatch(/^ERROR +ports +TCP port 4443 on 0\.0\.0\.0 is already in use/m);
    expect(stdout).toMatch(/^warning +nat +.*drops forwarded packets \(inet other transit\)/m);
    expect(status).toBe(1);
  });

  it('says that offloads cannot be tried without loopback, not that they are missing', () => {
    const offloads = (...within: string[]) =>
      (JSON.parse(doctorIn(within, base, '--json').stdout) as Finding[]).find(
        ({ check }) => check === 'offloads',
      );
    const here = offloads('ip', 'netns', 'exec', namespace);
    const without = offloads('unshare', '--net');
    expect(without).toMatchObject({ level: 'warning', say: expect.not.stringMatching(/udpSegment|udpGro/) });
    // A kernel that lacks one of the others says that first.
    if (here?.level === 'ok')
      expect(without).toMatchObject({
        say: expect.stringMatching(/loopback device is down/),
        mend: expect.stringMatching(/ip link set lo up/),
      });
  });

  it('says what cannot be tried without rights, not that it is missing', () => {
    const rights = ['setpriv', '--bounding-set=-net_admin,-net_bind_service'];
    const within = ['ip', 'netns', 'exec', namespace, ...rights];
    const { stdout } = doctorIn(within, { ...base, 'tcp-port': 443, nat: true });
    expect(stdout).toMatch(/^ERROR +rights +The server needs root/m);
    expect(stdout).toMatch(/^warning +offloads +Kernel offloads cannot be tried/m);
    expect(stdout).toMatch(
      /^ERROR +ports +TCP port 443 on 0\.0\.0\.0 cannot be opened: permission denied\.\n +→ .*root/m,
    );
    expect(stdout).toMatch(/^ERROR +nat +nft cannot be used: .*\n +→ Run this as root\.$/m);
    expect(stdout).not.toMatch(/Linux 6\.2|apt-get|listen-host/);
  });

  it('says that IPv6 is turned off', () => {
    const config = { ...base, 'ipv6-network': 'fd00::/64', nat: true };
    const sysctl = (value: number) =>
      execFileSync('ip', [
        'netns',
        'exec',
        namespace,
        'sysctl',
        '-qw',
        `net.ipv6.conf.default.disable_ipv6=${value}`,
      ]);
    sysctl(1);
    const off = doctor(config).stdout;
    sysctl(0);
    expect(off).toMatch(/^warning +forwarding +IPv6 is turned off on this machine; clients get IPv4/m);
    expect(doctor(config).stdout).toMatch(/^ok +forwarding +.* forward ipv6/m);
  });

  it('compares the table of connections with the clients that may come', () => {
    const kept = existsSync('/proc/sys/net/netfilter/nf_conntrack_max');
    const few = doctor({ ...base, 'max-clients': 2 }).stdout;
    const many = doctor({ ...base, 'ipv4-network': '10.0.0.0/8', 'max-clients': 10_000_000 }).stdout;
    expect(/^ok +connections /m.test(few)).toBe(kept);
    expect(/^warning +connections +.* few for 10000000 clients/m.test(many)).toBe(kept);
  });

  it('names files of secrets that others can read or change', () => {
    const passwords = join(folder, 'passwords');
    const ofPasswords = (mode: number) => {
      writeFileSync(passwords, '');
      chmodSync(passwords, mode);
      return doctor({ ...base, auth: [`plain[passwd=${passwords}]`] }).stdout;
    };
    expect(ofPasswords(0o640)).toMatch(/^ok +secrets /m);
    expect(ofPasswords(0o644)).toMatch(/^warning +secrets +\S+\/passwords can be read by other users/m);
    expect(ofPasswords(0o660)).toMatch(/^warning +secrets +\S+\/passwords can be changed by other users/m);
  });

  it('looks into the files that a configuration names, and goes on', () => {
    const { status, stdout } = doctor({ ...base, 'server-cert': ['/none.pem'], 'server-key': ['/none.key'] });
    expect(stdout).toMatch(
      /^ERROR +configuration .*server-cert: .*\n {23}.*server-key: file "\/none\.key": there is no such file/m,
    );
    expect(stdout).toMatch(/^ok +tun /m);
    expect(status).toBe(1);
  });

  it('hints at bundling of forwarded UDP, until it is on', () => {
    const ip = (...words: string[]) => execFileSync('ip', ['-n', namespace, ...words]);
    ip('link', 'add', 'card', 'up', 'type', 'veth', 'peer', 'name', 'other');
    ip('link', 'set', 'other', 'up');
    ip('route', 'add', 'default', 'dev', 'card');
    try {
      expect(doctor(base).stdout).toMatch(
        /^hint +bundling +card forwards UDP .*\n +→ .*"ethtool -K card gro on rx-udp-gro-forw/m,
      );
      execFileSync('ip', [
        'netns',
        'exec',
        namespace,
        'ethtool',
        '-K',
        'card',
        'rx-udp-gro-forwarding',
        'on',
      ]);
      expect(doctor(base).stdout).toMatch(/^ok +bundling +card bundles/m);
      expect(doctor({ ...base, offload: false }).stdout).not.toMatch(/bundling/);
    } finally {
      ip('link', 'del', 'card');
    }
  });

  it('stops at a configuration with mistakes', () => {
    const { status, stdout } = doctor({ ...base, 'tcp-prot': 1 });
    expect(stdout).toMatch(/^ERROR +configuration .*tcp-prot/m);
    expect(status).toBe(1);
  });
});

it('says of a server that runs nothing about free ports', async () => {
  const findings = await examine({ dataDir: folder, runDir: join(folder, 'none') });
  expect(findings[0]).toMatchObject({ check: 'server', level: 'ok' });
  expect(findingsText(findings)).toContain('No server answers in');
  expect(exitStatus([{ check: 'x', level: 'warning', say: '', mend: '' }])).toBe(0);
});

describe('certificates', () => {
  const path = () => join(folder, 'server.pem');
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const selfSigned = (days: string, ...more: string[]) =>
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      'k',
      '-out',
      'server.pem',
      '-subj',
      '/CN=vpn.test',
      '-days',
      days,
      ...more,
    );
  const names = ['-addext', 'subjectAltName=DNS:vpn.test'];

  const look = async (vhost?: string): Promise<Finding[]> => {
    const options = {
      auth: base.auth,
      'server-cert': [path()],
      'server-key': ['k'],
      'ipv4-network': '10.0.0.0/8',
    };
    const vhosts = vhost === undefined ? {} : { vhosts: { [vhost]: options } };
    const config = buildConfig({ ...options, ...vhosts }, {}, 'test');
    const patient: Patient = { config, dataDir: folder, runDir: folder, running: null };
    return (await certificates(patient)).filter(({ level }) => level !== 'ok');
  };

  beforeEach(() => selfSigned('90', ...names));

  it('is content with a good one', async () => {
    expect(await look()).toEqual([]);
    expect(await look('vpn.test')).toEqual([]);
  });

  const ofAuthority = (file: string) => {
    openssl('req', '-x509', ...key, '-keyout', 'cak', '-out', file, '-subj', '/CN=ca', '-days', '90');
    selfSigned('90', ...names, '-CA', file, '-CAkey', 'cak');
  };

  it('is content with one whose root is beside it', async () => {
    ofAuthority('ca.crt');
    expect(await look()).toEqual([]);
  });

  it.each<[string, () => void, RegExp, string?]>([
    ['that ends very soon', () => selfSigned('1', ...names), /ends (within a day|in 1 day)\./],
    ['that ends soon', () => selfSigned('3', ...names), /ends in [23] days/],
    ['without names', () => selfSigned('90'), /names no host/],
    ['for another name', () => {}, /is not for other\.test, but for DNS:vpn\.test/, 'other.test'],
    ['that is no certificate', () => writeFileSync(path(), 'hello'), /There is no certificate in/],
    [
      'that is damaged',
      () => writeFileSync(path(), readFileSync(path(), 'utf8').replace(/\n.{40}/, '\n')),
      /cannot be read/,
    ],
    ['that is not there', () => rmSync(path()), /does not exist/],
    [
      'in the wrong order',
      () => {
        const one = readFileSync(path(), 'utf8');
        selfSigned('90', ...names);
        writeFileSync(path(), readFileSync(path(), 'utf8') + one);
      },
      /certificate 1 is not signed by certificate 2/,
    ],
    ['without the one in between', () => ofAuthority('ca'), /has no certificate of the authority/],
  ])('names one %s', async (_what, arrange, pattern, vhost) => {
    arrange();
    const found = await look(vhost);
    expect(found.map(({ say }) => say).join('\n')).toMatch(pattern);
    for (const { mend } of found) expect(mend).not.toBe('');
  });
});
