/** The texts of `vpn ctl` beside those that occtl of ocserv 1.5.0 printed: the same headings and labels, in the same order. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { CookieData, StatusData, UserData } from '../../src/core/control/results.js';
import {
  cookiesText,
  iroutesText,
  pointsText,
  statusText,
  userBlocksText,
  usersText,
} from '../../src/core/control/text.js';

const golden = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../golden/recordings/ocserv-1.5.0', `occtl-${name}.txt`), 'utf8');
const heading = (text: string): string => text.split('\n')[0] ?? '';
/** occtl does not keep its rows and long values under their headings; ours are aligned. */
const words = (text: string): string[][] => text.split('\n').map((line) => line.trim().split(/ +/));
/** Labels in their order, '' for a line that is empty, a heading as it is. */
const shape = (text: string): string[] =>
  text
    .trimEnd()
    .split('\n')
    .flatMap((line) => {
      if (!line.startsWith('\t')) return [line];
      return [...line.matchAll(/(?:^\t(?!\t)|\S {2,3})([A-Za-z][\w ()/-]*):/g)].map(
        ([, label = '']) => label,
      );
    });

const user: UserData = {
  id: 26733,
  workerPid: 26733,
  state: 'connected',
  remoteIp: '10.77.0.2',
  localDeviceIp: '10.77.0.1',
  connectedAt: 1000,
  now: 1008,
  session: {
    userName: 'alice',
    groupName: 'tech',
    vhost: 'default',
    device: 'vpns2',
    mtu: 1434,
    ipv4: '10.99.0.50',
    ipv4Local: '10.99.0.1',
    ipv6: 'fd99::5',
    ipv6Local: 'fd99::1',
    userAgent: 'Open AnyConnect VPN Agent v9.01-3',
    hostname: 'vm',
    rxBytes: 0,
    txBytes: 536,
    rxPackets: 0,
    txPackets: 4,
    rxLimit: 0,
    txLimit: 0,
    dpdSec: 90,
    keepaliveSec: 32400,
    startedAt: 1000,
    safeId: 'R3VQtYghijklmnopqrstuvwxyz0=',
    tlsCiphersuite: '(TLS1.2)-(ECDHE-SECP256R1)-(RSA-SHA256)-(AES-256-GCM)',
    dtlsCipher: '(DTLS1.2)-(PSK)-(AES-256-GCM)',
    dtlsActive: true,
    cstpCompression: '',
    dtlsCompression: '',
    dns: ['10.99.0.1'],
    nbns: ['10.99.0.2'],
    splitDns: ['corp.example.com'],
    routes: ['10.10.0.0/255.255.0.0', 'fd10::/32'],
    noRoutes: ['10.10.5.0/255.255.255.0'],
    iroutes: [],
    restrictedToRoutes: false,
    restrictedToPorts: '',
  },
};

test('show user', () => {
  // There is no database of places here; the process beside the ID is ours.
  const expected = shape(golden('show-user-alice')).filter((label) => label !== 'Location');
  expect(shape(userBlocksText([user])).filter((label) => label !== 'Worker PID')).toEqual(expected);
  const lines = userBlocksText([user]).split('\n');
  for (const line of golden('show-user-alice')
    .split('\n')
    .filter((each) => /RX|MTU|Routes|\tfd10|DPD/.test(each)))
    expect(lines).toContain(line);
});

test('show user: compression of the channels that have it', () => {
  const block = (changes: Partial<NonNullable<UserData['session']>>) =>
    userBlocksText([{ ...user, session: user.session && { ...user.session, ...changes } }]);
  const both = { cstpCompression: 'oc-lz4', dtlsCompression: 'lzs' };
  expect(block(both)).toContain('\tCSTP compression: oc-lz4   DTLS compression: lzs\n');
  expect(block({ cstpCompression: 'lzs' })).toContain('\tCSTP compression: lzs\n');
  expect(block({})).not.toContain('compression');
});

test('show status', () => {
  const period = {
    since: 1000,
    sessionsHandled: 0,
    timedOutSessions: 0,
    timedOutIdleSessions: 0,
    errorSessions: 0,
    authFailures: 0,
    averageAuthMs: 0,
    maxAuthMs: 0,
    averageSessionSec: 0,
    maxSessionSec: 0,
    minMtu: 0,
    maxMtu: 0,
    rxBytes: 0,
    txBytes: 0,
  };
  const status: StatusData = {
    ...{
      status: 'online',
      pid: 26695,
      secmodPid: 26697,
      workers: 3,
      spareWorkers: 2,
      upSince: 1000,
      now: 1011,
    },
    ...{ activeSessions: 3, connections: 3, totalSessions: 0, totalAuthFailures: 0, bannedIps: 0 },
    ...{ secmodEntries: 3, tlsDbEntries: 0, ipcViolations: 0, period },
  };
  // The note above says the same in one line.
  const ours = new Set(['Workers', 'Spare workers', 'Connections']);
  const [, ...labels] = shape(statusText(status)).filter((label) => !ours.has(label));
  expect(labels).toEqual(shape(golden('show-status')).slice(2));
});

test('tables', () => {
  const cookie: CookieData = {
    ...{
      safeId: 'gaKH5Fghijklmnopqrstuvwxyz0=',
      sessionIsOpen: true,
      tlsAuthOk: false,
      created: 1000,
      expires: 1300,
    },
    ...{ userName: 'alice', groupName: '', vhost: 'default', userAgent: 'Open AnyConnect VPN Agent v9.01-3' },
    ...{ remoteIp: '10.77.0.2', state: 'authenticated', inUse: 1, now: 1008 },
  };
  const ban = { ip: '10.77.0.2', score: 30, banned: false, expires: 2000, now: 1008 };
  expect(heading(usersText([user]))).toBe(heading(golden('show-users')));
  expect(words(usersText([user]))[1]).toEqual(words(golden('show-users'))[1]);
  expect(words(cookiesText([cookie]))[0]).toEqual(words(golden('show-sessions-all'))[0]);
  const row = words(golden('show-sessions-all')).find((line) => line.includes('alice'));
  expect(words(cookiesText([cookie]))[1]?.slice(1)).toEqual(row?.slice(1));
  expect(heading(iroutesText([user]))).toBe(heading(golden('show-iroutes')));
  expect(`${pointsText([ban])}\n`).toBe(golden('show-ip-ban-points'));
});
