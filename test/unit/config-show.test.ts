/** What people are shown of configurations: values with their origins, differences with their effects. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { checkedText } from '../../src/core/config/check.js';
import { convertFile } from '../../src/core/config/convert.js';
import { loadConfig, loadDetailed } from '../../src/core/config/load.js';
import { changesOf, changesText, shownValues, showText } from '../../src/core/config/show.js';
import { writeNewFile } from '../../src/core/config/source-file.js';

const BASE = `auth = plain[passwd=/x]
server-cert = /c
server-key = /k
ipv4-network = 10.0.0.0/24
`;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-show-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}
const detailed = (text: string) => loadDetailed({ file: file('a.conf', text), dataDir: directory });
const config = (text: string) => loadConfig({ file: file('b.conf', text), dataDir: directory });

describe('show', () => {
  const text = `${BASE}camouflage = true\ncamouflage_secret = sesame\n[vhost:b]\nbanner = Hi\n`;

  test('has what is set, and what virtual hosts have different; no secret', () => {
    const values = shownValues(detailed(text), { all: false });
    expect(values).toMatchObject({
      auth: ['plain[passwd=/x]'],
      camouflage_secret: '(hidden)',
      vhosts: { b: { banner: 'Hi' } },
    });
    expect(values).not.toHaveProperty('dpd');
    expect(shownValues(detailed(text), { all: true })).toMatchObject({ dpd: 90 });
    expect(JSON.stringify(values)).not.toContain('sesame');
  });

  test('says where each option was set', () => {
    const shown = showText(detailed(text), { all: true }, true);
    expect(shown).toContain(`# ${directory}/a.conf:4\nipv4-network: 10.0.0.0/24`);
    expect(shown).toContain('# default\ndpd: 90');
    expect(shown).toContain(`# ${directory}/a.conf:8\n    banner: Hi`);
    expect(parse(shown)).toEqual(shownValues(detailed(text), { all: true }));
  });
});

describe('diff', () => {
  test('says what, when and for whom', () => {
    const before = config(`${BASE}dpd = 1\nbanner = a\nchroot-dir = /a\n[vhost:gone]\n[vhost:kept]\n`);
    const after = config(
      `${BASE}dpd = 2\nbanner = b\ntcp-port = 1\nmax-clients = 5\n[vhost:kept]\nbanner = c\n[vhost:new]\n`,
    );
    expect(changesText(changesOf(before, after)).split('\n')).toEqual([
      'tcp-port: 443 → 1 (after a restart)',
      expect.stringMatching(/^chroot-dir: "\/a" → "" \(/),
      'max-clients: 0 → 5 (at a reload, for the whole server)',
      'dpd: 1 → 2 (at a reload, for new sessions whose user and group files do not say otherwise)',
      'banner: "a" → "b" (at a reload, for new connections)',
      '[vhost kept] banner: "a" → "c" (at a reload, for new connections)',
      '[vhost new] virtual host: null → "added" (at a reload, for new connections to this name)',
      '[vhost gone] virtual host: "present" → null (at a reload; its sessions cannot be resumed any more)',
    ]);
  });

  test('of the same file says so', () => {
    expect(changesText(changesOf(config(BASE), config(BASE)))).toBe('Nothing would change.');
  });
});

test('check lists notices and that there is nothing else', () => {
  expect(checkedText(detailed(`${BASE}cgroup = x\n`))).toBe(
    `notice: ${directory}/a.conf:5: cgroup: has no effect: removed in ocserv 1.5.0; set limits in the service manager
${directory}/a.conf: no mistakes (the default virtual host)`,
  );
});

describe('convert', () => {
  test('writes YAML with the documentation as comments, also of a file that is not complete', () => {
    const yaml = convertFile(file('in.conf', 'dpd = 7 # seven\nuse-seccomp = yes\n'), 'yaml');
    expect(yaml).toMatch(
      /^# Dead peer detection.*\ndpd: 7\n# Limit the system calls.*\nisolate-workers: true\n/,
    );
    expect(parse(yaml)).toMatchObject({ 'udp-port': 0, 'rekey-method': 'new-tunnel' });
  });

  test('names what the other format cannot say', () => {
    const whole = file('in.yaml', 'dns: [1.1.1.1]\nvhosts: {b: {dns: [2.2.2.2]}}\n');
    expect(() => convertFile(whole, 'conf')).toThrow(
      '[vhost b] dns: leaves out values of the default virtual host',
    );
    expect(() => convertFile(file('quote.yaml', 'banner: \'"x" y\'\n'), 'conf')).toThrow('cannot be written');
  });

  test('names the mistakes of the file that it reads', () => {
    expect(() => convertFile(file('in.conf', 'dpd = x\n'), 'yaml')).toThrow(
      'in.conf:1: dpd: must be a whole number',
    );
  });

  test('writes for the owner only, and over no file unless told', () => {
    const path = join(directory, 'out.yaml');
    writeNewFile(path, 'a', false);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(() => writeNewFile(path, 'b', false)).toThrow('--force replaces it');
    writeNewFile(path, 'b', true);
    expect(readFileSync(path, 'utf8')).toBe('b');
  });
});
