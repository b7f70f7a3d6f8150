/**
 * The `radius` accounting back end. Every record goes to the spool first; one sender takes them from there in order, and
 * keeps trying while no server answers.
 */
import { join } from 'node:path';
import type {
  AccountingBackend,
  AccountingHost,
  AccountingPlugin,
  BackendOptions,
} from '../../../core/plugin-api/index.js';
import { attributesAt, interimRecord, startRecord, stopRecord } from './accounting-records.js';
import { codes } from './dictionary.js';
import { sealRequest } from './digest.js';
import { listenForRequests } from './dynamic-authorization.js';
import { Failover } from './failover.js';
import { readRadiusConfig } from './radcli-conf.js';
import { type AcctRecord, Spool } from './spool.js';

const MAX_SPOOLED = 100_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** How long the end of the process waits for records that can still be sent. */
const FLUSH_MS = 2000;

export const radiusAccounting: AccountingPlugin = {
  manifest: {
    name: 'radius',
    needs: ['network'],
    options: {
      config: { type: 'string', required: true, positional: true, doc: "radcli's radiusclient.conf." },
      'coa-port': {
        type: 'number',
        doc: 'UDP port for Disconnect- and CoA-Requests of these servers, usually 3799; absent: none.',
      },
      'nas-identifier': { type: 'string', doc: 'NAS-Identifier, instead of the one in the file.' },
    },
  },
  create: createAccounting,
};

async function createAccounting(options: BackendOptions, host: AccountingHost): Promise<AccountingBackend> {
  const own = options['nas-identifier'];
  const read = readRadiusConfig(String(options.config));
  const config = own === undefined ? read : { ...read, nasIdentifier: String(own) };
  if (config.acctServers.length === 0) throw new Error(`${options.config} names no acctserver`);
  const port = Number(options['coa-port'] ?? 0);
  // Whoever may send from the address of a server could end sessions: over TLS there is no secret.
  if (port !== 0 && config.tls)
    throw new Error('coa-port is for serv-type udp: with TLS there is no shared secret');
  const { bindAddress, nasIdentifier, acctServers, authServers } = config;
  const asking = { port, bindAddress, nasIdentifier, servers: [...authServers, ...acctServers], host, now };
  const stopListening = port === 0 ? null : await listenForRequests(asking);
  const servers = new Failover(config.acctServers, {
    ...config,
    log: host.log,
    patient: false,
  });
  const sender = new Sender(new Spool(join(host.stateDir, 'radius-spool'), MAX_SPOOLED), servers, host);
  return {
    start: (session) => sender.add(startRecord(config, session, now())),
    interim: (session, usage) => sender.add(interimRecord(config, session, usage, now())),
    stop: (session, usage, reason) => sender.add(stopRecord(config, session, usage, reason, now())),
    close: async () => {
      stopListening?.();
      await sender.close();
    },
  };
}

const now = (): number => Math.floor(Date.now() / 1000);

class Sender {
  readonly #spool: Spool;
  readonly #servers: Failover;
  readonly #host: AccountingHost;
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;
  /** Records wait because no server answers. */
  #stuck = false;

  constructor(spool: Spool, servers: Failover, host: AccountingHost) {
    this.#spool = spool;
    this.#servers = servers;
    this.#host = host;
    if (spool.size > 0)
      host.log.info({ records: spool.size }, 'accounting records of an earlier run are sent now');
    this.#wake();
  }

  add(record: AcctRecord): void {
    if (!this.#spool.add(record)) {
      this.#host.log.error(
        { records: this.#spool.size },
        'too many accounting records wait; one was dropped',
      );
    }
    this.#wake();
  }

  /** What cannot be sent any more stays on disk for the next process. */
  async close(): Promise<void> {
    const timer = setTimeout(() => this.#stop.abort(), this.#stuck ? 0 : FLUSH_MS);
    await this.#running;
    clearTimeout(timer);
    this.#servers.close();
    if (this.#spool.size > 0) {
      this.#host.log.warn({ records: this.#spool.size }, 'unsent accounting records are kept on disk');
    }
  }

  #wake(): void {
    this.#running ??= this.#drain()
      .catch((error: unknown) =>
        this.#host.log.error({ err: error }, 'accounting stopped until the next record'),
      )
      .finally(() => {
        this.#running = null;
      });
  }

  async #drain(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    for (let next = this.#spool.first(); next && !this.#stop.signal.aborted; next = this.#spool.first()) {
      try {
        await this.#send(next.record);
        this.#spool.remove(next.number);
        if (this.#stuck) this.#host.log.info({}, 'a RADIUS server takes accounting records again');
        this.#stuck = false;
        pauseMs = FIRST_PAUSE_MS;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (error instanceof RangeError) {
          this.#host.log.error(
            { reason: error.message },
            'an accounting record cannot be sent and is dropped',
          );
          this.#spool.remove(next.number);
          continue;
        }
        this.#stuck = true;
        this.#host.log.warn({ records: this.#spool.size, reason: String(error) }, 'accounting records wait');
        await this.#pause(pauseMs);
        pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
      }
    }
  }

  async #send(record: AcctRecord): Promise<void> {
    const reply = await this.#servers.exchange(
      (id, secret) => sealRequest(codes.accountingRequest, id, attributesAt(record, now()), secret),
      this.#stop.signal,
    );
    if (reply.code !== codes.accountingResponse)
      throw new Error(`a reply of code ${reply.code} to accounting`);
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#stop.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.#stop.signal.addEventListener('abort', done, { once: true });
    });
  }
}
