import { execFileSync, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { native, type ReceivedDatagram, type SocketAddress } from '../../src/core/native/index.js';

const { io } = native;

async function receive(fd: number): Promise<ReceivedDatagram> {
  for (;;) {
    const datagram = io.receiveDatagram(fd);
    if (datagram) return datagram;
    await nextTurn();
  }
}

/** A client that is connected to the server, as openconnect's UDP socket is. */
async function client(server: SocketAddress): Promise<Socket> {
  const socket = createSocket(server.address.includes(':') ? 'udp6' : 'udp4');
  socket.connect(server.port, server.address);
  await once(socket, 'connect');
  return socket;
}

/** A listener on a port that the kernel picks. */
async function listen(address: string): Promise<{ fd: number; port: number }> {
  const probe = createSocket(address.includes(':') ? 'udp6' : 'udp4').bind(0, address);
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return { fd: io.bindUdp(address, port), port };
}

describe.each([
  { family: 'IPv4', any: '0.0.0.0', hit: ['127.0.0.1', '127.0.0.2'] },
  { family: 'IPv6', any: '::', hit: ['::1', '::1'] },
])('$family', ({ any, hit }) => {
  test('the listener tells source and the address that was hit', async () => {
    const { fd, port } = await listen(any);
    expect(io.receiveDatagram(fd)).toBeNull();
    for (const address of hit) {
      const socket = await client({ address, port });
      socket.send(Buffer.alloc(60_000, 1));
      const datagram = await receive(fd);
      expect(datagram.data.equals(Buffer.alloc(60_000, 1))).toBe(true);
      expect(datagram.local).toEqual({ address, port });
      expect(datagram.remote).toEqual({ address: socket.address().address, port: socket.address().port });
      socket.close();
    }
    io.close(fd);
  });

  test('each client reaches its own connected socket, a third the listener', async () => {
    const { fd: listener, port } = await listen(any);
    const clients = await Promise.all([0, 1, 2].map(() => client({ address: hit[0] as string, port })));
    const connected: number[] = [];
    for (const [index, socket] of clients.slice(0, 2).entries()) {
      socket.send(`hello ${index}`);
      const first = await receive(listener);
      expect(first.data.toString()).toBe(`hello ${index}`);
      connected.push(io.connectUdp(first.local, first.remote));
    }
    for (const [index, socket] of clients.entries()) socket.send(`data ${index}`);
    const [own0, own1] = connected as [number, number];
    expect((await receive(own0)).data.toString()).toBe('data 0');
    expect((await receive(own1)).data.toString()).toBe('data 1');
    expect((await receive(listener)).data.toString()).toBe('data 2');
    for (const fd of [own0, own1, listener]) expect(io.receiveDatagram(fd)).toBeNull();
    // The answer comes from the server's address and port, or the client's connected socket refuses it.
    const answer = once(clients[1] as Socket, 'message');
    io.sendMessage(own1, Buffer.from('answer'), []);
    expect(String((await answer)[0])).toBe('answer');
    for (const socket of clients) socket.close();
    for (const fd of [own0, own1, listener]) io.close(fd);
  });
});

test('a roamed client gets a new socket while the old one stays', async () => {
  const { fd: listener, port } = await listen('127.0.0.1');
  const before = await client({ address: '127.0.0.1', port });
  const after = await client({ address: '127.0.0.1', port });
  const sockets: number[] = [];
  for (const socket of [before, after]) {
    socket.send('x');
    const { local, remote } = await receive(listener);
    sockets.push(io.connectUdp(local, remote));
  }
  after.send('new');
  before.send('old');
  expect((await receive(sockets[1] as number)).data.toString()).toBe('new');
  expect((await receive(sockets[0] as number)).data.toString()).toBe('old');
  for (const socket of [before, after]) socket.close();
  for (const fd of [...sockets, listener]) io.close(fd);
});

test('no datagram of others gets into a new connected socket while it is being made', async () => {
  const { fd: listener, port } = await listen('0.0.0.0');
  // Strangers send without a pause from another process.
  const flood = `
    const { createSocket } = require('node:dgram');
    const sockets = Array.from({ length: 8 }, () => createSocket('udp4'));
    const send = (socket) => socket.send('stranger', ${port}, '127.0.0.1', () => send(socket));
    for (const socket of sockets) send(socket);`;
  const stranger = spawn(process.execPath, ['-e', flood], { stdio: 'inherit' });
  try {
    await receive(listener);
    const local = { address: '127.0.0.1', port };
    for (let round = 0; round < 2000; round++) {
      const fd = io.connectUdp(local, { address: '127.0.0.1', port: 1 + (round % 1000) });
      const stolen = io.receiveDatagram(fd);
      io.close(fd);
      expect(stolen).toBeNull();
      // Makes room at the listener, so that the flood is not dropped there.
      for (let i = 0; i < 50 && io.receiveDatagram(listener); i++);
    }
    expect((await receive(listener)).data.toString()).toBe('stranger');
  } finally {
    stranger.kill();
    await once(stranger, 'exit');
    io.close(listener);
  }
});

/** A client that has said hello at a listener on `address`, and the socket that is its own. */
async function ownSocket(address: string) {
  const { fd: listener, port } = await listen(address);
  const socket = await client({ address: '127.0.0.1', port });
  socket.send('hello');
  const { local, remote } = await receive(listener);
  const fd = io.connectUdp(local, remote);
  return { socket, listener, fd, port, remote };
}

test('the client itself is not shut out while its socket is being made', async () => {
  const { socket, listener, fd } = await ownSocket('0.0.0.0');
  socket.send('again');
  expect((await receive(fd)).data.toString()).toBe('again');
  socket.close();
  for (const open of [fd, listener]) io.close(open);
});

test("a client's socket holds a batch of uploads that its process is late for", async () => {
  const { socket, listener, fd, port, remote } = await ownSocket('127.0.0.1');
  const of = (dport: number): string =>
    execFileSync('ss', ['-Hunm', 'sport', '=', String(port), 'and', 'dport', '=', String(dport)]).toString();
  // What the kernel may have in it, twice what was asked for: beyond net.core.rmem_max.
  expect(of(remote.port)).toMatch(/skmem:\(r\d+,rb2097152,/);
  socket.close();
  for (const open of [fd, listener]) io.close(open);
});

test('wrong ends are refused', () => {
  const local = { address: '127.0.0.1', port: 1 };
  expect(() => io.connectUdp(local, { address: '::1', port: 1 })).toThrow(
    expect.objectContaining({ code: 'EINVAL' }),
  );
  expect(() => io.connectUdp({ address: '192.0.2.1', port: 1 }, local)).toThrow(
    /EADDRNOTAVAIL.*192\.0\.2\.1:1 to/,
  );
  expect(() => io.bindUdp('example.org', 1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
});
