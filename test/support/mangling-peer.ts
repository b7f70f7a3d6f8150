/**
 * A bad UDP path: `mangling-peer.ts PORT HOST HOST-PORT`. Datagrams to PORT go on to HOST, replies back, each client from a
 * socket of its own. SIGUSR2 switches to the next way of mangling, which is said: `now reordered`, `duplicated`,
 * `corrupted`, `clean`. Which datagrams are touched follows from their number: every run is the same.
 */
import { createSocket, type Socket } from 'node:dgram';

const [port, host, hostPort] = process.argv.slice(2);
const EVERY = 7;
const HOLD_MS = 8;

type Send = (datagram: Buffer) => void;
let count = 0;

const manglers: Record<string, (datagram: Buffer, send: Send) => void> = {
  clean: (datagram, send) => send(datagram),
  reordered: (datagram, send) => {
    if (count % EVERY === 0) setTimeout(send, HOLD_MS, datagram);
    else send(datagram);
  },
  duplicated: (datagram, send) => {
    send(datagram);
    if (count % EVERY === 0) send(datagram);
  },
  corrupted: (datagram, send) => {
    const changed = Buffer.from(datagram);
    const at = count % changed.length;
    if (count % (EVERY * EVERY) === 0) changed.writeUInt8(changed.readUInt8(at) ^ 0xff, at);
    send(changed);
  },
};
const order = ['clean', 'reordered', 'duplicated', 'corrupted'];
let mode = 0;

function pass(datagram: Buffer, send: Send): void {
  count += 1;
  manglers[order[mode] ?? 'clean']?.(datagram, send);
}

const near = createSocket('udp4');
const far = new Map<string, Socket>();

function farOf(address: string, clientPort: number): Socket {
  const key = `${address} ${clientPort}`;
  const known = far.get(key);
  if (known) return known;
  const socket = createSocket('udp4');
  socket.on('message', (reply) => pass(reply, (datagram) => near.send(datagram, clientPort, address)));
  socket.on('error', (error) => console.log(`server side: ${error.message}`));
  far.set(key, socket);
  return socket;
}

near.on('message', (datagram, from) => {
  const socket = farOf(from.address, from.port);
  pass(datagram, (each) => socket.send(each, Number(hostPort), host));
});
near.bind(Number(port), () => console.log('ready'));
process.on('SIGUSR2', () => {
  mode = (mode + 1) % order.length;
  console.log(`now ${order[mode]}`);
});
