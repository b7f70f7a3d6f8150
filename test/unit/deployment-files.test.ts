/** The files of deploy/ that are for other programs than systemd, as far as they can be looked at without those. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const deploy = join(root, 'deploy');
const shell = ['container/entrypoint.sh', 's6/vpn/run', 's6/vpn-secmod/run'];

it.each(shell)('%s is an executable script without mistakes of syntax', (name) => {
  const path = join(deploy, name);
  expect(statSync(path).mode & 0o111).toBe(0o111);
  expect(spawnSync('sh', ['-n', path], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
});

describe('the Containerfile', () => {
  const instructions = readFileSync(join(deploy, 'container/Containerfile'), 'utf8')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.split(/\s+(.*)/, 2) as [string, string]);
  const all = (name: string) => instructions.flatMap(([word, rest]) => (word === name ? [rest] : []));

  it('has known instructions only, and copies what is there', () => {
    const known = [
      'FROM',
      'WORKDIR',
      'COPY',
      'RUN',
      'ENV',
      'VOLUME',
      'EXPOSE',
      'STOPSIGNAL',
      'HEALTHCHECK',
      'ENTRYPOINT',
      'CMD',
    ];
    expect(instructions.map(([word]) => word).filter((word) => !known.includes(word))).toEqual([]);
    const copied = all('COPY').filter((rest) => !rest.startsWith('--from'));
    for (const rest of copied)
      for (const file of rest.split(' ').slice(0, -1)) expect(existsSync(join(root, file))).toBe(true);
  });

  it('is used as the images of ocserv are', () => {
    expect(all('EXPOSE')).toEqual(['443/tcp 443/udp']);
    expect(all('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(JSON.parse(all('VOLUME')[0] ?? '')).toContain('/etc/ocserv');
    expect(JSON.parse(all('CMD')[0] ?? '')).toEqual(['ocserv', '-f', '-c', '/etc/ocserv/ocserv.conf']);
    expect(readdirSync(join(root, 'bin/compat')).sort()).toEqual(['occtl', 'ocpasswd', 'ocserv']);
  });
});

describe('the entry point of the container', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ocvpn-entry-'));
    for (const name of ['vpn', 'ocserv']) {
      writeFileSync(join(folder, name), `#!/bin/sh\necho ${name} "$@"\n`);
      chmodSync(join(folder, name), 0o755);
    }
    writeFileSync(join(folder, 'ocserv.conf'), '');
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (config: string, ...words: string[]) =>
    spawnSync(join(deploy, 'container/entrypoint.sh'), words, {
      encoding: 'utf8',
      env: { PATH: `${folder}:/usr/bin:/bin`, OCSERV_CONFIG: join(folder, config) },
    }).stdout.trim();

  it('runs ocserv, or any other command', () => {
    expect(run('ocserv.conf', 'ocserv', '-f')).toBe('ocserv -f');
    expect(run('ocserv.conf', '-d', '3')).toBe(`ocserv -f -c ${folder}/ocserv.conf -d 3`);
    expect(run('ocserv.conf', 'echo', 'hello')).toBe('hello');
    expect(run('absent.conf', 'echo', 'hello')).toBe('hello');
  });

  it('without a configuration runs the embedded default', () => {
    expect(run('absent.conf', 'ocserv', '-f')).toBe('vpn serve');
  });
});

it('bash completes commands and flags', { timeout: 60_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), 'ocvpn-completion-'));
  try {
    const vpn = (...words: string[]) =>
      spawnSync(process.execPath, [join(root, 'bin/run.js'), ...words], {
        encoding: 'utf8',
        env: { ...process.env, HOME: home, XDG_CACHE_HOME: '' },
      });
    expect(vpn('autocomplete', 'bash').status).toBe(0);
    const script = `
      eval "$1"
      complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _vpn_autocomplete; echo "\${COMPREPLY[@]}"; }
      complete_words vpn ctl dis
      complete_words vpn serve --da`;
    const setup = vpn('autocomplete', 'script', 'bash').stdout;
    const { stdout } = spawnSync('bash', ['--norc', '-c', script, 'bash', setup], {
      encoding: 'utf8',
      env: { ...process.env, HOME: home },
    });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => [...new Set(line.split(' '))]),
    ).toEqual([['disconnect'], ['--data-dir']]);
  } finally {
    rmSync(home, { recursive: true });
  }
});
