/**
 * Opens and ends many tunnels with a process each, in a node of its own: `node session-forks.ts NUMBER FOLDER`, FOLDER
 * with cert.pem and key.pem. Meanwhile the JavaScript heap is busy, as other logins keep it. Prints one line of JSON.
 */
import { createPrivateKey, sign } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import type { TlsServerContext } from '../../src/core/native/tls-types.ts';
import type { NativeBinding } from '../../src/core/native/types.ts';
import { tunnelOptions } from './tunnel-options.ts';

// The compiled modules: TypeScript's own are not loadable by their .js names.
const dist = join(import.meta.dirname, '../../dist/core/native');
const { native, READABLE } = (await import(`${dist}/index.js`)) as {
  native: NativeBinding;
  READABLE: number;
};
const { acceptTlsDuplex } = (await import(
  `${dist}/tls-duplex.js`
)) as typeof import('../../src/core/native/tls-duplex.ts');

/** Tunnels that are open at the same time. */
const AT_ONCE = 16;

interface Open {
  readonly id: number;
  readonly socket: TLSSocket;
  readonly tun: number;
  readonly ended: Promise<string>;
}

const [count, folder] = [Number(process.argv[2]), String(process.argv[3])];
const key = createPrivateKey(readFileSync(join(folder, 'key.pem')));
const ends = new Map<number, (how: string) => void>();
const dataplane = native.createDataplane((event) => {
  if (event.type === 'closed') ends.get(event.id)?.(`${event.reason}: ${event.detail}`);
}, true);

/** A TLS connection of a client in this process to a server in this process. */
async function dial(context: TlsServerContext, port: number, listener: number) {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  socket.on('error', () => undefined); // a killed tunnel may arrive as a reset
  const secure = Promise.withResolvers<void>();
  const poller = native.io.createPoller(listener, () => arrived.resolve());
  const arrived = Promise.withResolvers<void>();
  poller.set(READABLE);
  await arrived.promise;
  poller.close();
  const accepted = native.io.accept(listener);
  if (!accepted) throw new Error('no connection');
  const stream = acceptTlsDuplex(context, accepted.fd, {
    onSign: (id, _vhost, _keyIndex, _scheme, data) =>
      stream.connection.completeSign(id, sign('sha256', data, key)),
    onSecure: () => secure.resolve(),
    onClose: () => undefined,
  });
  stream.on('error', () => undefined);
  await secure.promise;
  return { socket, stream };
}

async function openTunnel(context: TlsServerContext, port: number, listener: number): Promise<Open> {
  const { socket, stream } = await dial(context, port, listener);
  const [tun, far] = native.io.socketpair();
  const { connection, head } = stream.detach();
  const id = dataplane.open(
    connection,
    Buffer.from('HTTP/1.1 200 CONNECTED\r\n\r\n'),
    head,
    tunnelOptions(far),
  );
  const ended = new Promise<string>((resolve) => ends.set(id, resolve));
  const reply = once(socket, 'data').then(([data]) => String(data));
  const first = await Promise.race([reply, ended]);
  if (!first.startsWith('HTTP/1.1 200')) throw new Error(`tunnel ${id} of ${count}: ${first}`);
  return { id, socket, tun, ended };
}

async function end({ id, socket, tun, ended }: Open): Promise<string> {
  if (id % 4 === 0) dataplane.kill(id);
  else dataplane.terminate(id, id % 2 === 0 ? 'disconnect' : 'drop', 'server-disconnect');
  socket.end();
  const how = await ended;
  socket.destroy();
  native.io.close(tun);
  return how;
}

/** Sockets, pidfds and timers. Node opens and closes files and pipes of its own now and then. */
const descriptors = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => /^(?:socket:|anon_inode:)/.test(target(fd))).length;
const target = (fd: string): string => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ''; // the one that the folder was read by
  }
};
const children = (): string => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();

const probe = createServer().listen(0, '127.0.0.1');
await once(probe, 'listening');
const { port } = probe.address() as { port: number };
probe.close();
const listener = native.io.listenTcp('127.0.0.1', port, 16);
const context = native.createTlsContext({
  certificateChains: [readFileSync(join(folder, 'cert.pem'))],
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  clientCertificate: 'none',
});
const busy = setInterval(() => JSON.stringify(Array.from({ length: 500 }, (_, at) => ({ at }))), 20);
const before = descriptors();
const open: Open[] = [];
const how: Record<string, number> = {};
const endOldest = async (): Promise<void> => {
  const oldest = open.shift();
  if (!oldest) return;
  const text = await end(oldest);
  how[text] = (how[text] ?? 0) + 1;
};
for (let i = 0; i < count; i++) {
  open.push(await openTunnel(context, port, listener));
  if (open.length > AT_ONCE) await endOldest();
}
while (open.length > 0) await endOldest();
clearInterval(busy);
// The last process may still be on its way out.
while (children() !== '') await new Promise((resolve) => setTimeout(resolve, 5));
console.log(JSON.stringify({ how, leaked: descriptors() - before }));
dataplane.close();
process.exit(0);
