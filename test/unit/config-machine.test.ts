/** What a configuration needs of the machine: the files that it names, and suites that OpenSSL has. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { embeddedPaths } from '../../src/core/config/embedded.js';
import { fileCheck } from '../../src/core/config/file-check.js';
import { loadDetailed } from '../../src/core/config/load.js';
import { machineChecks } from '../../src/core/config/machine-checks.js';
import { VpnError } from '../../src/core/errors.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ocvpn-machine-'));
  for (const name of ['cert', 'key', 'passwd']) writeFileSync(join(directory, name), '');
});
afterEach(() => rmSync(directory, { recursive: true }));

const at = (name: string): string => join(directory, name);

/** Lines of mistakes without the file's name. */
function problems(lines: string[], checks = machineChecks(directory)): string[] {
  const file = at('ocserv.conf');
  const base = [
    `auth = "plain[passwd=${at('passwd')}]"`,
    `server-cert = ${at('cert')}`,
    `server-key = ${at('key')}`,
    'ipv4-network = 10.0.0.0/24',
  ];
  writeFileSync(file, [...base, ...lines].join('\n'));
  try {
    loadDetailed({ file, dataDir: directory, checks });
    return [];
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    return String(error.details.detail).replaceAll(`${file}:`, '').split('\n');
  }
}

describe('files', () => {
  test('what is there and readable is no mistake', () => {
    mkdirSync(at('users'));
    writeFileSync(at('up'), '');
    chmodSync(at('up'), 0o755);
    expect(
      problems([`config-per-user = ${at('users')}`, `connect-script = ${at('up')}`, `crl = ${at('cert')}`]),
    ).toEqual([]);
  });

  test('every file that is not is named with its line', () => {
    writeFileSync(at('script'), '');
    expect(
      problems([
        `crl = ${at('nothing')}`,
        `config-per-user = ${at('cert')}`,
        `connect-script = ${at('script')}`,
        `default-user-config = ${directory}`,
        'tls-priorities = NONE',
      ]).sort(),
    ).toEqual([
      `5: crl: file "${at('nothing')}": there is no such file`,
      `6: config-per-user: directory "${at('cert')}": it is not a directory`,
      `7: connect-script: program "${at('script')}": it may not be run (chmod +x)`,
      `8: default-user-config: file "${directory}": it is not a regular file`,
      '9: tls-priorities: "NONE" leaves no cipher suite of TLS 1.2 or TLS 1.3',
    ]);
  });

  test('files of authentication methods, also of a virtual host', () => {
    rmSync(at('passwd'));
    const lines = [
      `acct = "radius[config=${at('radius.conf')}]"`,
      '[vhost:b.example]',
      `auth = "plain[passwd=${at('passwd')},otp=${at('b')}]"`,
    ];
    expect(problems(lines).sort()).toEqual([
      `5: acct: file "${at('radius.conf')}": there is no such file`,
      `7: [vhost b.example] auth: file "${at('b')}": there is no such file`,
    ]);
  });

  test('a process looks only at what is for it', () => {
    rmSync(at('key'));
    const lines = [`disconnect-script = ${at('gone')}`];
    const forMain = problems(lines, [fileCheck(directory, ['main'])]);
    expect(forMain).toEqual([`5: disconnect-script: program "${at('gone')}": there is no such file`]);
    const forSecmod = problems(lines, [fileCheck(directory, ['secmod'])]);
    expect(forSecmod).toEqual([`3: server-key: file "${at('key')}": there is no such file`]);
  });

  test('what the server makes by itself need not be there; a program without a folder is for PATH', () => {
    const { config } = loadDetailed({ dataDir: directory, checks: machineChecks(directory) });
    expect(config.default['server-cert']).toEqual([embeddedPaths(directory).serverCert]);
    expect(problems(['connect-script = true'])).toEqual([]);
  });
});

describe('tls-priorities', () => {
  test.each([
    ['SECURE192:%SERVER_PRECEDENCE'],
    ['NORMAL:-VERS-TLS1.3'],
    ['NORMAL:-VERS-ALL:+VERS-TLS1.3'],
    ['PERFORMANCE:-KX-ALL:+ECDHE-RSA'],
  ])('%s is taken', (priority) => {
    expect(problems([`tls-priorities = ${priority}`])).toEqual([]);
  });

  test('what OpenSSL does not take is refused with the word that did it', () => {
    expect(problems(['tls-priorities = NORMAL:-KX-ALL:+RSA'])).toEqual([
      '5: tls-priorities: "NORMAL:-KX-ALL:+RSA" is not taken by OpenSSL: TLS 1.2 cipher list: no cipher match (since +RSA)',
    ]);
  });

  test('words without a counterpart are named when nothing is left', () => {
    expect(problems(['tls-priorities = NORMAL:-CIPHER-ALL:+TWOFISH'])).toEqual([
      '5: tls-priorities: "NORMAL:-CIPHER-ALL:+TWOFISH" leaves no cipher suite of TLS 1.2 or TLS 1.3: +TWOFISH has no counterpart',
    ]);
  });
});
