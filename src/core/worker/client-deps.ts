/** What a client of a worker needs of its surroundings. */
import type { Duplex } from 'node:stream';
import type { Channel } from '../ipc/api.js';
import type { Logger } from '../log.js';
import type { TlsDuplex } from '../native/tls-duplex.js';
import type { TlsInfo } from '../native/tls-types.js';
import type { Dataplane, NativeIo } from '../native/types.js';
import type { Client } from './client.js';
import type { Rounds } from './rounds.js';
import type { Startup } from './secmod-calls.js';
import type { SecmodLink } from './secmod-link.js';
import type { Vhosts } from './vhosts.js';

export type MainChannel = Channel<'worker', 'main'>;

/** What of TlsDuplex a client uses. */
export type SecureStream = Duplex & Pick<TlsDuplex, 'connection' | 'endWithAlert' | 'detach'>;

export interface StreamHandlers {
  onSign(requestId: number, vhost: string, keyIndex: number, scheme: number, data: Buffer): void;
  onSecure(info: TlsInfo): void;
  onClose(error: Error | null, bytesRead: number): void;
}

export interface ClientDeps {
  readonly io: Pick<NativeIo, 'setNetPriority' | 'close' | 'tcpPathMtu'>;
  readonly dataplane: Dataplane;
  readonly main: MainChannel;
  readonly secmod: SecmodLink;
  readonly rounds: Rounds;
  readonly vhosts: Vhosts;
  readonly log: Logger;
  /** Starts TLS on a descriptor and owns it from then on. */
  readonly openStream: (
    vhosts: Vhosts,
    fd: number,
    startup: Startup,
    handlers: StreamHandlers,
  ) => SecureStream;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly random: () => number;
  /** A tunnel was opened under this data plane id. */
  readonly onTunnel: (id: number, client: Client) => void;
  /** Called once: the client is gone and main knows. */
  readonly onGone: (client: Client) => void;
}
