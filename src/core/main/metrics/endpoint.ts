/** Where Prometheus asks: `GET /metrics` on a TCP address or a unix socket. Whoever can connect may read the figures. */
import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { parseListenAddress } from '../../config/listen-address.js';
import { VpnError } from '../../errors.js';
import type { Logger } from '../../log.js';
import { removeSocket } from '../socket-file.js';
import type { Metrics } from './metrics.js';

const MAX_CONNECTIONS = 16;
const MAX_HEADER_BYTES = 8192;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 5000;
/** root and the socket's group, which the administrator may change. */
const SOCKET_MODE = 0o660;

export class MetricsEndpoint {
  readonly #server: Server;
  readonly #path: string | null;

  private constructor(server: Server, path: string | null) {
    this.#server = server;
    this.#path = path;
  }

  /** Listens at `address` (option metrics-listen). @throws VpnError OCS_METRICS */
  static async open(address: string, metrics: Metrics, log: Logger): Promise<MetricsEndpoint> {
    const target = parseListenAddress(address);
    if (target === null) throw new VpnError('OCS_METRICS', { address, reason: 'it is no address' });
    const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT_MS });
    server.maxConnections = MAX_CONNECTIONS;
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      answer(request, response, metrics).catch((error: unknown) => {
        log.error({ err: error }, 'the metrics cannot be told');
        response.writeHead(500).end();
      });
    });
    const path = 'path' in target ? target.path : null;
    if (path !== null) removeSocket(path);
    await listen(server, target, address);
    if (path !== null) chmodSync(path, SOCKET_MODE);
    metrics.collectProcess();
    log.info({ address }, 'metrics are served');
    return new MetricsEndpoint(server, path);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#path !== null) removeSocket(this.#path);
  }
}

function listen(
  server: Server,
  target: NonNullable<ReturnType<typeof parseListenAddress>>,
  address: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'it is already in use' : error.message;
      reject(new VpnError('OCS_METRICS', { address, reason }, { cause: error }));
    });
    server.listen(target, resolve);
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, metrics: Metrics): Promise<void> {
  request.resume();
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD' }).end();
  } else if (request.url?.split('?', 1)[0] !== '/metrics') {
    response.writeHead(404).end('The metrics are at /metrics.\n');
  } else {
    const text = await metrics.text();
    response.writeHead(200, { 'Content-Type': metrics.contentType }).end(text);
  }
}
