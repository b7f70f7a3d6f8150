// Clients of the test server: openssl, gnutls-cli and Node's own TLS.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { TlsServerContext } from '../../src/core/native/tls-types.js';
import { type Accepted, type Behaviour, type TestPki, TestServer } from './native-tls.support.js';

/** A server for the time of `use`. */
export async function serving<T>(
  context: TlsServerContext,
  behaviour: Behaviour,
  use: (server: TestServer) => Promise<T>,
): Promise<T> {
  const server = new TestServer(context, behaviour);
  try {
    return await use(server);
  } finally {
    await server.close();
  }
}

/** Runs a command-line client that sends `line` and reads until the echo came back; gives all of its output. */
async function talk(
  command: string,
  args: string[],
  line: string,
): Promise<{ output: string; code: number }> {
  const child = spawn(command, args);
  let output = '';
  child.stderr.on('data', (text) => {
    output += text;
  });
  child.stdout.on('data', (text) => {
    output += text;
    if (output.includes(line)) child.stdin.end();
  });
  child.stdin.on('error', () => {}); // the client may be gone before it reads
  child.stdin.write(`${line}\n`);
  const [code] = await once(child, 'close');
  return { output, code };
}

export const openssl = (pki: TestPki, port: number, ...args: string[]) => {
  const trust = ['-verify_return_error', '-CAfile', pki.path('ca.crt')];
  const where = ['-connect', `127.0.0.1:${port}`, '-quiet', '-no_ign_eof'];
  return talk('openssl', ['s_client', ...where, ...trust, ...args], 'marco polo');
};

export const gnutls = (pki: TestPki, port: number, priority: string) => {
  const trust = ['--x509cafile', pki.path('ca.crt'), '--verify-hostname', 'localhost'];
  return talk('gnutls-cli', [...trust, '--priority', priority, '-p', `${port}`, '127.0.0.1'], 'marco polo');
};

/** A Node client that trusts the test CA. */
export const dial = (pki: TestPki, port: number, options: ConnectionOptions = {}): TLSSocket =>
  connect({ port, host: '127.0.0.1', ca: pki.read('ca.crt'), servername: 'localhost', ...options });

/** The same, connected. */
export async function client(
  pki: TestPki,
  port: number,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = dial(pki, port, options);
  await once(socket, 'secureConnect');
  return socket;
}

/** Ends the connection in order: what was sent before arrives. */
export async function leave(socket: TLSSocket): Promise<void> {
  socket.resume();
  socket.end();
  await once(socket, 'close');
}

/** Code of the error that a connecting client ends with. */
export async function refusal(pki: TestPki, port: number, options: ConnectionOptions = {}): Promise<string> {
  const [error] = (await once(dial(pki, port, options), 'error')) as [Error & { code: string }];
  return error.code;
}

/** A client and the server's end of its connection, handshake complete on both. */
export async function pair(
  pki: TestPki,
  server: TestServer,
): Promise<{ socket: TLSSocket; accepted: Accepted }> {
  const next = server.next();
  const socket = await client(pki, server.port);
  const accepted = await next;
  await accepted.secure();
  return { socket, accepted };
}
