/**
 * Tun devices in a network namespace of the test's own:
 *
 *   ip netns exec ocvpn-io-<pid> node -e '…'     10.9.0.1 ──tun──▶ 10.9.0.2, fd00:9::1 ──tun──▶ fd00:9:1::/64
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const addon = fileURLToPath(new URL('../../native/build/Release/ocvpn.node', import.meta.url));
const namespace = `ocvpn-io-${process.pid}`;

beforeAll(() => {
  execFileSync('ip', ['netns', 'add', namespace]);
  execFileSync('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
});
afterAll(() => {
  execFileSync('ip', ['netns', 'del', namespace]);
});

/** Runs JavaScript with `io` and a device `tun` in the namespace; returns what it passes to `report`. */
function withTun(options: object, code: string): Record<string, unknown> {
  const script = `
    const { io } = require(${JSON.stringify(addon)});
    const { execFileSync } = require('node:child_process');
    const fs = require('node:fs');
    const ip = (...args) => JSON.parse(execFileSync('ip', ['-j', ...args], { encoding: 'utf8' }));
    const tun = io.openTun(${JSON.stringify({ vnetHdr: true, tso: true, uso: true, name: 'vpns%d', ...options })});
    const failure = (action) => { try { action(); return null; } catch (error) { return { code: error.code, syscall: error.syscall, text: error.message }; } };
    const report = (value) => console.log(JSON.stringify(value));
    (async () => { ${code} })();`;
  const output = execFileSync('ip', ['netns', 'exec', namespace, process.execPath, '-e', script], {
    encoding: 'utf8',
  });
  return JSON.parse(output);
}

const CONFIG = `{ ifindex: tun.ifindex, mtu: 1400, up: true, ipv4: { local: '10.9.0.1', peer: '10.9.0.2' },
  ipv6: { local: 'fd00:9::1', peer: 'fd00:9:1::5', prefix: 64 } }`;

test('a device gets name, owner, queue length, addresses, route and MTU', () => {
  const result = withTun(
    { owner: 65534, txQueueLength: 77 },
    `io.configureInterface(${CONFIG});
     const [link] = ip('-d', 'address', 'show', 'dev', tun.name);
     const routes6 = ip('-6', 'route', 'show', 'dev', tun.name);
     io.setInterfaceMtu(tun.ifindex, 1300);
     const [changed] = ip('link', 'show', 'dev', tun.name);
     report({ tun, link, routes6, mtu: changed.mtu });`,
  ) as {
    tun: { name: string; ifindex: number; vnetHdr: boolean };
    link: {
      ifindex: number;
      mtu: number;
      txqlen: number;
      flags: string[];
      addr_info: object[];
      linkinfo: object;
    };
    routes6: { dst: string }[];
    mtu: number;
  };
  expect(result.tun).toMatchObject({ name: expect.stringMatching(/^vpns\d+$/), vnetHdr: true });
  expect(result.link).toMatchObject({ ifindex: result.tun.ifindex, mtu: 1400, txqlen: 77 });
  expect(result.link.flags).toContain('UP');
  expect(result.link.linkinfo).toMatchObject({
    info_data: { type: 'tun', pi: false, vnet_hdr: true, user: 'nobody' },
  });
  // No link-local address: exactly these two.
  expect(result.link.addr_info).toEqual([
    expect.objectContaining({ local: '10.9.0.1', address: '10.9.0.2', prefixlen: 32 }),
    expect.objectContaining({ local: 'fd00:9::1', prefixlen: 128 }),
  ]);
  expect(result.routes6.map(({ dst }) => dst).sort()).toEqual(['fd00:9:1::/64', 'fd00:9::1']);
  expect(result.mtu).toBe(1300);
});

test('packets come with a vnet header when it was granted and without one otherwise', () => {
  for (const vnetHdr of [true, false]) {
    const result = withTun(
      { vnetHdr },
      `io.configureInterface(${CONFIG});
       const poller = io.createPoller(tun.fd, () => {
         const packet = Buffer.alloc(2000);
         const size = fs.readSync(tun.fd, packet);
         poller.close();
         report({ granted: tun.vnetHdr, packet: packet.toString('hex', 0, size) });
       });
       poller.set(1);
       const socket = require('node:dgram').createSocket('udp4');
       socket.send('payload', 4242, '10.9.0.2', () => socket.close());`,
    ) as { granted: boolean; packet: string };
    expect(result.granted).toBe(vnetHdr);
    const ipHeader = Buffer.from(result.packet, 'hex').subarray(vnetHdr ? 10 : 0);
    expect(ipHeader[0]).toBe(0x45);
    expect(ipHeader.subarray(-7).toString()).toBe('payload');
  }
});

test('offloads that were not asked for are off', () => {
  const result = withTun({ tso: false, uso: false }, 'report(tun);');
  expect(result).toMatchObject({ vnetHdr: true, tso: false, uso: false });
});

test('a client at a link-local address gets a connected UDP socket on its interface', () => {
  execFileSync('ip', ['-n', namespace, 'addr', 'replace', 'fe80::7/64', 'dev', 'lo', 'nodad']);
  const result = withTun(
    {},
    `const listener = io.bindUdp('::', 4443);
     const client = require('node:dgram').createSocket('udp6');
     client.on('message', (answer) => { client.close(); report({ datagram, answer: String(answer), lo: ip('link', 'show', 'lo')[0].ifindex }); });
     let datagram;
     const poller = io.createPoller(listener, () => {
       datagram = io.receiveDatagram(listener);
       poller.close();
       io.sendMessage(io.connectUdp(datagram.local, datagram.remote), Buffer.from('answer'), []);
     });
     poller.set(1);
     client.connect(4443, 'fe80::7%lo', () => client.send('hello'));`,
  ) as { datagram: { local: object; remote: object }; answer: string; lo: number };
  const { datagram, answer, lo } = result;
  expect(answer).toBe('answer');
  expect(datagram.local).toEqual({ address: 'fe80::7', port: 4443, scope: lo });
  expect(datagram.remote).toMatchObject({ address: 'fe80::7', scope: lo });
});

test('errors name the operation and its object', () => {
  const result = withTun(
    {},
    `execFileSync('ip', ['tuntap', 'add', 'dev', 'kept0', 'mode', 'tun']);
     report({
       kept: failure(() => io.openTun({ name: 'kept0', vnetHdr: false, tso: false, uso: false })),
       exists: failure(() => io.openTun({ name: tun.name, vnetHdr: false, tso: false, uso: false })),
       long: failure(() => io.openTun({ name: 'a-name-of-16-chr', vnetHdr: false, tso: false, uso: false })),
       device: failure(() => io.setInterfaceMtu(9999, 1400)),
       address: failure(() => io.configureInterface({ ...${CONFIG}, ipv4: { local: '10.9.0', peer: '10.9.0.2' } })),
       prefix: failure(() => io.configureInterface({ ...${CONFIG}, mtu: 1200 })),
       mtu: failure(() => io.setInterfaceMtu(tun.ifindex, 10)),
     });`,
  );
  expect(result).toEqual({
    // A device that somebody made and nobody reads is not taken over.
    kept: { code: 'EBUSY', syscall: 'ioctl TUNSETIFF', text: expect.stringContaining('kept0') },
    exists: { code: 'EBUSY', syscall: 'ioctl TUNSETIFF', text: expect.stringContaining('vpns') },
    long: {
      code: 'ENAMETOOLONG',
      syscall: 'ioctl TUNSETIFF',
      text: expect.stringContaining('a-name-of-16-chr'),
    },
    device: {
      code: 'ENODEV',
      syscall: 'RTM_NEWLINK',
      text: expect.stringContaining('interface 9999 mtu 1400'),
    },
    address: {
      code: 'EINVAL',
      syscall: 'RTM_NEWADDR',
      text: expect.stringContaining('10.9.0 peer 10.9.0.2'),
    },
    // IPv6 needs an MTU of 1280.
    prefix: { code: 'EINVAL', syscall: 'RTM_NEWADDR', text: expect.stringContaining('fd00:9::1/128') },
    mtu: { code: 'ERR_INVALID_ARG_VALUE', text: expect.stringContaining("'mtu'") },
  });
});

test('the path MTU of a TCP connection is that of the link', () => {
  for (const address of ['127.0.0.1', '::1']) {
    const result = withTun(
      {},
      `execFileSync('ip', ['link', 'set', 'lo', 'mtu', '1400']);
       const listener = io.listenTcp('${address}', 443, 1);
       const client = require('node:net').connect(443, '${address}');
       const poller = io.createPoller(listener, () => {
         const { fd } = io.accept(listener);
         poller.close();
         client.destroy();
         report({ mtu: io.tcpPathMtu(fd) });
       });
       poller.set(1);`,
    );
    expect(result).toEqual({ mtu: 1400 });
  }
});
