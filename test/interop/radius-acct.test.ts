/** Accounting of sessions at Debian's FreeRADIUS. */
import { expect, test } from 'vitest';
import { type RadiusServer, SECRET, startRadius, writeRadcli } from '../support/freeradius.ts';
import { inside, type Lab, openLab, outside } from '../support/lab.ts';
import { connect, fetchCookie } from '../support/openconnect.ts';
import { startServer, type VpnServer } from '../support/server.ts';
import { reachable } from '../support/traffic.ts';
import { until } from '../support/wait.ts';

const users = 'alice Cleartext-Password := "secret"';

async function startAccounted(lab: Lab): Promise<VpnServer> {
  const config = writeRadcli(lab);
  const auth = [`radius[config=${config}]`];
  return await startServer(lab, 'ocvpn', { options: { auth, acct: `radius[config=${config}]` } });
}

/** Waits for as many records and returns what they are. */
async function records(radius: RadiusServer, count: number) {
  return await until(`${count} accounting records`, () => {
    const all = radius.accounting();
    return all.length >= count ? all : undefined;
  });
}

test('one Start and one Stop for a session whose client connects twice', async () => {
  const lab = await openLab();
  const radius = await startRadius(lab, { users });
  const server = await startAccounted(lab);
  const cookie = await fetchCookie(lab, server);
  const first = await connect(lab, server, { cookie });
  const [start] = await records(radius, 1);
  expect(start).toMatchObject({
    'Acct-Status-Type': 'Start',
    'User-Name': 'alice',
    'NAS-Identifier': 'lab-vpn',
    'NAS-IP-Address': outside.server4,
    'Service-Type': 'Framed-User',
    'Framed-Protocol': 'PPP',
    'Framed-IP-Address': expect.stringMatching(/^10\.99\.0\./),
    'Framed-IPv6-Address': expect.stringMatching(/^fd99:/),
    'Calling-Station-Id': outside.client4(0),
    'Acct-Authentic': 'RADIUS',
    'Connect-Info': expect.stringMatching(/AnyConnect/),
    'Acct-Session-Id': expect.stringMatching(/^\S{28}$/),
  });
  await first.end('SIGHUP');
  const second = await connect(lab, server, { cookie });
  await lab.client().must(['ping', '-c', '3', '-i', '0.2', '-s', '1000', inside.host4]);
  await second.end('SIGINT');
  const [, stop, ...others] = await records(radius, 2);
  expect(others).toEqual([]);
  expect(stop).toMatchObject({
    'Acct-Status-Type': 'Stop',
    'Acct-Session-Id': start?.['Acct-Session-Id'],
    'Acct-Terminate-Cause': 'User-Request',
    'Acct-Input-Gigawords': '0',
    'Acct-Output-Gigawords': '0',
  });
  expect(Number(stop?.['Acct-Input-Octets'])).toBeGreaterThan(3000);
  expect(Number(stop?.['Acct-Output-Octets'])).toBeGreaterThan(3000);
  expect(stop?.['Connect-Info']).toBeUndefined();
});

test('an administrator ends the session: Admin-Reset', async () => {
  const lab = await openLab();
  const radius = await startRadius(lab, { users });
  const server = await startAccounted(lab);
  await connect(lab, server);
  await records(radius, 1);
  expect(await server.disconnectUser('alice')).toBe(true);
  const [, stop] = await records(radius, 2);
  expect(stop).toMatchObject({ 'Acct-Status-Type': 'Stop', 'Acct-Terminate-Cause': 'Admin-Reset' });
});

test('records that no server took are on disk and are sent in order by the next run', async () => {
  const lab = await openLab();
  const radius = await startRadius(lab, { users });
  const server = await startAccounted(lab);
  const cookie = await fetchCookie(lab, server);
  await radius.process.stop('SIGTERM', 3_000);
  const client = await connect(lab, server, { cookie });
  await client.end('SIGINT');
  await until('the end of the session', async () => (await server.users()).length === 0);
  expect(server.process.output).toContain('accounting records wait');
  await server.stop();
  expect(radius.accounting()).toEqual([]);
  const again = await startRadius(lab, { users });
  const config = `${lab.folder}/vpn.config.json`;
  const folders = ['--data-dir', `${lab.folder}/data`, '--run-dir', `${lab.folder}/run`];
  lab.server.start('vpn-again', [process.execPath, 'bin/run.js', 'serve', '-c', config, ...folders]);
  const [start, stop] = await records(again, 2);
  expect(start).toMatchObject({ 'Acct-Status-Type': 'Start' });
  expect(stop).toMatchObject({ 'Acct-Status-Type': 'Stop', 'Acct-Session-Id': start?.['Acct-Session-Id'] });
});

test('a Disconnect-Request ends the session it names; without the secret it ends nothing', async () => {
  const lab = await openLab();
  const radius = await startRadius(lab, { users });
  const config = writeRadcli(lab);
  const acct = `radius[config=${config},coa-port=3799]`;
  const server = await startServer(lab, 'ocvpn', { options: { auth: [`radius[config=${config}]`], acct } });
  const client = await connect(lab, server);
  const disconnect = async (attributes: string, secret = SECRET) => {
    const command = ['radclient', '-x', '-r', '1', '-t', '1', '10.10.0.1:3799', 'disconnect', secret];
    return (await lab.inner.run(command, { input: `${attributes}\n` })).stdout;
  };
  expect(await disconnect('User-Name = "alice"', 'another')).not.toMatch(/Received/);
  expect(await disconnect('User-Name = "bob"')).toMatch(/Disconnect-NAK[\s\S]*Session-Context-Not-Found/);
  expect(await disconnect('Reply-Message = "x"')).toMatch(/Disconnect-NAK[\s\S]*Unsupported-Attribute/);
  expect(await server.users()).toHaveLength(1);
  expect(await disconnect('User-Name = "alice"')).toMatch(/Received Disconnect-ACK/);
  await client.process.ended();
  const [, stop] = await records(radius, 2);
  expect(stop).toMatchObject({ 'Acct-Terminate-Cause': 'Admin-Reset' });
});

test('a CoA-Request changes times and rates of the running session, and nothing else', async () => {
  const lab = await openLab();
  const radius = await startRadius(lab, { users });
  const config = writeRadcli(lab);
  const options = {
    auth: [`radius[config=${config}]`],
    acct: `radius[config=${config},coa-port=3799]`,
    'idle-timeout': 500,
  };
  const server = await startServer(lab, 'ocvpn', { options });
  const client = await connect(lab, server, { args: ['--dump-http-traffic'] });
  const [start] = await records(radius, 1);
  const [before] = await server.users();
  const coa = async (attributes: string) => {
    const command = ['radclient', '-x', '-r', '1', '-t', '5', '10.10.0.1:3799', 'coa', SECRET];
    return (await lab.inner.run(command, { input: `${attributes}\n` })).stdout;
  };
  expect(await coa('User-Name = "alice"')).toMatch(/CoA-NAK[\s\S]*Missing-Attribute/);
  expect(await coa('User-Name = "bob", Session-Timeout = 60')).toMatch(
    /CoA-NAK[\s\S]*Session-Context-Not-Found/,
  );
  expect(await coa('User-Name = "alice", Session-Timeout = 60, Filter-Id = "x"')).toMatch(
    /CoA-NAK[\s\S]*Unsupported-Attribute/,
  );
  expect(client.process.output).not.toContain('X-CSTP-Session-Timeout: 60');
  const wanted = `Acct-Session-Id = "${start?.['Acct-Session-Id']}", Session-Timeout = 4000, RP-Downstream-Speed-Limit = 200`;
  expect(await coa(wanted)).toMatch(/Received CoA-ACK/);
  await client.event('reconnect', 1, 30_000);
  expect(client.process.output).toContain('X-CSTP-Session-Timeout: 4000');
  expect(client.process.output).not.toContain('X-CSTP-Idle-Timeout: 0');
  await reachable(client.host, inside.host4);
  expect(await server.users()).toMatchObject([{ ipv4: before?.ipv4 }]);
  const user = await lab.server.must([
    ...[process.execPath, 'bin/run.js', 'ctl', 'show', 'user', 'alice'],
    ...['--run-dir', `${lab.folder}/run`],
  ]);
  expect(user).toMatch(/Limit TX: 200/);
  expect(radius.accounting()).toHaveLength(1);
});

test('Class comes back, interim records come as stats-report-time says, and a session that waits has its Stop', async () => {
  const lab = await openLab();
  const radius = await startRadius(lab, { users: `${users}\n\tClass = "opaque 7"` });
  const config = writeRadcli(lab);
  const options = {
    auth: [`radius[config=${config}]`],
    acct: `radius[config=${config}]`,
    'stats-report-time': 1,
  };
  const server = await startServer(lab, 'ocvpn', { options });
  const client = await connect(lab, server);
  const kinds = () => radius.accounting().map((record) => record['Acct-Status-Type']);
  await until('an interim record', () => kinds().includes('Interim-Update'));
  // The cookie stays good, so this is no end of the session yet.
  await client.end('SIGHUP');
  await until('the end of the tunnel', async () => (await server.users()).length === 0);
  expect(kinds()).not.toContain('Stop');
  await server.stop();
  const all = radius.accounting();
  expect(all.at(-1)).toMatchObject({ 'Acct-Status-Type': 'Stop' });
  const opaque = `0x${Buffer.from('opaque 7').toString('hex')}`;
  for (const record of all) expect(record).toMatchObject({ Class: opaque });
});
