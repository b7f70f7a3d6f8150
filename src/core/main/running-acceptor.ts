/** The acceptor of a running server: its limits may change with a reload. */
import { Acceptor, type AcceptorOptions } from './acceptor.js';
import type { RunningConfig } from './running-config.js';
import { TlsTicketKeys } from './tls-ticket-keys.js';

type Configured =
  | 'connectionPoints'
  | 'maxClients'
  | 'maxPending'
  | 'maxLogins'
  | 'rateLimitMs'
  | 'proxyProtocol';

export interface RunningAcceptorOptions extends Omit<AcceptorOptions, Configured | 'ticketKeys'> {
  readonly running: RunningConfig;
}

export function runningAcceptor({ running, ...others }: RunningAcceptorOptions): Acceptor {
  return new Acceptor({
    ...others,
    ticketKeys: ticketKeys(running),
    // Read anew at each use.
    get connectionPoints() {
      return running.main['ban-points-connection'];
    },
    get maxClients() {
      return running.main['max-clients'];
    },
    get maxPending() {
      return running.main['max-pending-per-address'];
    },
    get maxLogins() {
      return running.main['max-pending'];
    },
    get rateLimitMs() {
      return running.main['rate-limit-ms'];
    },
    get proxyProtocol() {
      return running.main['listen-proxy-proto'];
    },
  });
}

function ticketKeys(running: RunningConfig): TlsTicketKeys {
  return new TlsTicketKeys({
    nowMs: () => performance.now(),
    get lifetimeSec() {
      return running.main['cookie-timeout'];
    },
    get generation() {
      return running.generation;
    },
  });
}
