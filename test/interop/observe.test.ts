/** What an administrator sees of a running server: its metrics, its log, its events, and bans that outlive main. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inside, type Lab, openLab, outside } from '../support/lab.ts';
import { configFile, dataFolder, runFolder, serveOcvpn, statusOf } from '../support/ocvpn.ts';
import { authenticate, connect, fetchCookie } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';
import { ping } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');
const KEY = Buffer.from('12345678901234567890').toString('hex');
/** Codes 5 and 6 of RFC 4226 appendix D. */
const CODES = ['254676', '287922'];

const ctl = (lab: Lab, ...words: string[]): string[] => [
  ...[process.execPath, launcher, 'ctl', ...words],
  ...['--run-dir', `${lab.folder}/run`],
];

type Line = Readonly<Record<string, unknown>>;

/** The log's lines; fails on one that has a key twice, which parsers take differently. */
function logLines(output: string): Line[] {
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => {
    const parsed = JSON.parse(line) as Line;
    expect(JSON.stringify(parsed)).toBe(line);
    return parsed;
  });
}

test('the log at its most verbose: no secret, and client and session on every line of a session', async () => {
  const lab = await openLab();
  const oath = `${lab.folder}/users.oath`;
  writeFileSync(oath, `HOTP alice - ${KEY} 5\n`);
  const auth = [`plain[passwd=${lab.folder}/ocpasswd,otp=${oath}]`];
  const server = await startServer(lab, 'ocvpn', {
    options: { auth, 'log-level': 9 },
    users: [{ name: 'alice', password: 'correct-horse-battery' }],
  });
  const login = (code: string) => ({
    password: 'correct-horse-battery',
    args: [`--form-entry=main:secondary_password=${code}`],
  });
  const wrong = await authenticate(lab, server, { password: 'a-mistyped-secret' });
  expect(wrong.code).not.toBe(0);
  const cookie = await fetchCookie(lab, server, login(CODES[0] ?? ''));
  const client = await connect(lab, server, { cookie });
  await client.dtls();
  await client.end('SIGINT');
  await server.process.waitFor(/"msg":"session closed"/);
  const { output } = server.process;
  const secrets = ['correct-horse-battery', 'a-mistyped-secret', ...CODES.slice(0, 1), cookie, KEY];
  for (const secret of secrets)
    for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')])
      expect(output.toLowerCase()).not.toContain(form.toLowerCase());
  // The cookie is the SID in base64 or hexadecimal, and bytes could be shown as either.
  const sid = Buffer.from(cookie, /^[0-9a-f]{64}$/i.test(cookie) ? 'hex' : 'base64');
  for (const form of ['hex', 'base64'] as const) expect(output).not.toContain(sid.toString(form));

  const lines = logLines(output);
  const opened = lines.find(({ msg }) => msg === 'session opened');
  expect(opened).toMatchObject({ role: 'main', user: 'alice', session: expect.stringMatching(/^.{27}=$/) });
  const { session } = opened ?? {};
  const ofSession = lines.filter((line) => line.session === session);
  expect([...new Set(ofSession.map(({ role }) => role))].sort()).toEqual(['main', 'secmod', 'worker']);
  for (const msg of ['user logged in', 'DTLS is up', 'session closed'])
    expect(ofSession.map((line) => line.msg)).toContain(msg);
  // Whatever names the session's connection after it was opened names the session, too; messages carry the handle.
  const late = lines.slice(lines.indexOf(opened ?? {}) + 1);
  for (const line of late)
    if (line.client === opened?.client && line.msg !== 'ipc message') expect(line).toMatchObject({ session });
  // The failed login can be explained.
  expect(lines.find(({ msg }) => msg === 'wrong password')).toMatchObject({
    user: 'alice',
    ip: outside.client4(0),
    client: expect.any(Number),
    session: expect.any(String),
  });
});

test('each connection that fails has a line that says why', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn', {
    options: { 'max-ban-score': 3, 'ban-points-connection': 1, 'ban-points-wrong-password': 0 },
  });
  const speak = (script: string) => lab.client().run(['bash', '-c', script]);
  const from = server.process.output.length;
  await speak(
    `exec 3<>/dev/tcp/${outside.server4}/443; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout 20 cat <&3`,
  );
  await server.process.waitFor(/connection failed: .*(TLS|SSL|http request)/i, { from });
  await speak(`printf '' | timeout 20 openssl s_client -connect ${outside.server4}:443 -tls1_1`);
  await server.process.waitFor(/connection failed: .*(version|protocol)/i, { from });
  await speak(
    `printf 'NONSENSE\\r\\n\\r\\n' | timeout 20 openssl s_client -quiet -connect ${outside.server4}:443`,
  );
  const banned = await server.process.waitFor(/.*"address banned"/, { from });
  expect(JSON.parse(`${banned[0]}}`)).toMatchObject({ ip: outside.client4(0), score: 3 });
  await server.process.waitFor(/"reason":"banned","msg":"connection refused"/, { from });
});

test('metrics count what happens; a ban and the stream of events outlive main', async () => {
  const lab = await openLab({ clients: 2 });
  const server = await startServer(lab, 'ocvpn', {
    options: {
      'metrics-listen': '127.0.0.1:9467',
      'max-ban-score': 30,
      'ban-points-connection': 0,
      'ban-points-wrong-password': 30,
    },
  });
  const ask = "fetch('http://127.0.0.1:9467/metrics').then((it) => it.text()).then(console.log)";
  const scrape = () => lab.server.must([process.execPath, '-e', ask]);
  const figure = async (series: string): Promise<number | undefined> => {
    const line = (await scrape()).split('\n').find((each) => each.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  };
  expect((await authenticate(lab, server, { on: 1, password: 'wrong' })).code).not.toBe(0);
  const client = await connect(lab, server);
  await client.dtls();
  await ping(client.host, inside.host4);
  const seen = async (series: string, fits: (value: number) => boolean) =>
    until(series, async () => fits((await figure(series)) ?? Number.NaN));
  await seen('ocvpn_sessions{transport="dtls"}', (value) => value === 1);
  await seen('ocvpn_connections{state="connected"}', (value) => value === 1);
  await seen('ocvpn_auth_attempts_total{method="plain",result="accepted"}', (value) => value === 1);
  await seen('ocvpn_auth_attempts_total{method="plain",result="wrong"}', (value) => value === 1);
  await seen('ocvpn_handshake_seconds_count{channel="tls"}', (value) => value >= 2);
  await seen('ocvpn_handshake_seconds_count{channel="dtls"}', (value) => value === 1);
  await seen('ocvpn_tunnel_packets_total{direction="in"}', (value) => value >= 5);
  await seen('ocvpn_banned_addresses', (value) => value === 1);
  const day = 86_400;
  await seen(
    'ocvpn_certificate_expiry_timestamp_seconds{vhost="default",key="0"}',
    (value) => value > Date.now() / 1000 - day,
  );

  const { pid } = await statusOf(lab);
  process.kill(pid, 'SIGKILL');
  await server.process.ended();
  await serveOcvpn(lab);
  await until('the session to be adopted', async () => (await server.users()).length === 1);
  expect((await statusOf(lab)).bannedIps).toBe(1);
  expect(await figure('ocvpn_sessions_adopted_total')).toBe(1);
  expect((await authenticate(lab, server, { on: 1 })).code).not.toBe(0);

  const doctor = [process.execPath, launcher, 'doctor', '-c', configFile(lab), '--data-dir', dataFolder(lab)];
  const examined = await lab.server.run([...doctor, '--run-dir', runFolder(lab), '--json']);
  const findings = JSON.parse(examined.stdout) as { check: string; level: string; say: string }[];
  expect(findings.find(({ check }) => check === 'server')?.say).toMatch(
    new RegExp(`^A server runs .*process ${(await statusOf(lab)).pid}`),
  );
  // What it holds itself is no mistake.
  expect(findings.filter(({ check }) => check === 'ports').map(({ level }) => level)).toEqual(['ok', 'ok']);
  const events = lab.server.start('events', ctl(lab, 'events'));
  await events.waitFor(/"type":"present".*"userName":"alice"/);
  await client.end('SIGINT');
  await events.waitFor(/"type":"disconnected".*"userName":"alice"/);
});
