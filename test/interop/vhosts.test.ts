/** Virtual hosts by SNI: each with its own certificate, users, networks, groups and banner. */
import { expect, test } from 'vitest';
import { inside, openLab } from '../support/lab.ts';
import { authenticate, connect } from '../support/openconnect.ts';
import { writeCertificate } from '../support/pki.ts';
import { startServer } from '../support/server.ts';
import { ping } from '../support/traffic.ts';

const NAME = 'other.example.com';

test('a client that names a virtual host gets everything that is its own', async () => {
  const lab = await openLab({ clients: 2 });
  const passwd = `${lab.folder}/other-passwd`;
  await lab.server.must(['ocpasswd', '-c', passwd, '-g', 'guests', 'dave'], { input: 'daves\ndaves\n' });
  const own = await writeCertificate(lab.folder, 'ecdsa');
  const vhost = {
    auth: [`plain[passwd=${passwd}]`],
    'server-cert': [own.certificate],
    'server-key': [own.key],
    'ipv4-network': '10.98.0.0/24',
    'ipv6-network': 'fd98::/64',
    'select-group': ['guests[Our guests]'],
    banner: 'The other host',
  };
  const server = await startServer(lab, 'ocvpn', {
    options: { banner: 'The first host' },
    vhosts: { [NAME]: vhost },
  });
  await lab.inner.ip('route add 10.98.0.0/24 via 10.10.0.1');

  const first = await connect(lab, server, { on: 0 });
  expect(first.process.output).toContain('The first host');
  const dave = {
    user: 'dave',
    password: 'daves',
    args: ['--authgroup=Our guests', `--servercert=${own.pin}`],
  };
  const second = await connect(lab, server, { ...dave, name: NAME, on: 1 });
  expect(second.process.output).toContain('The other host');
  expect((await second.event('connect')).INTERNAL_IP4_ADDRESS).toMatch(/^10\.98\.0\./);
  expect((await first.event('connect')).INTERNAL_IP4_ADDRESS).toMatch(/^10\.99\.0\./);
  expect(await ping(second.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  expect(await server.users()).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ name: 'alice', group: '' }),
      expect.objectContaining({ name: 'dave', group: 'guests' }),
    ]),
  );

  // The certificate is the virtual host's own, and so are the users.
  const wrongPin = { ...server, pins: [own.pin] };
  expect((await authenticate(lab, wrongPin)).stdout.trim()).toBe('');
  expect((await authenticate(lab, wrongPin, { ...dave, name: NAME, args: [] })).stdout.trim()).not.toBe('');
  expect((await authenticate(lab, wrongPin, { name: NAME })).stdout.trim()).toBe('');
  expect((await authenticate(lab, server, { user: 'dave', password: 'daves' })).stdout.trim()).toBe('');
});

test('a name that is no virtual host is served by the first', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn', {});
  const client = await connect(lab, server, { name: 'unknown.example.com' });
  expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
});
