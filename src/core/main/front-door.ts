/** All listening sockets of the server, with who takes what they bring. */
import type { ServerConfig } from '../config/schema.js';
import type { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import type { Accepted, NativeIo, ReceivedDatagram } from '../native/types.js';
import type { PassedSockets } from '../service/listen-fds.js';
import { openSockets, TcpListener, UdpListener } from './listeners.js';
import { socketsIn } from './netns.js';

export interface FrontDoorOptions {
  readonly io: NativeIo;
  readonly config: ServerConfig;
  readonly passed: PassedSockets;
  /** False: connections come from a supervisor. */
  readonly startWorkers: boolean;
  readonly log: Logger;
  readonly notice: (error: VpnError) => void;
  readonly onAccept: (accepted: Accepted) => void;
  readonly onDatagram: (datagram: ReceivedDatagram) => void;
}

export class FrontDoor {
  /** Addresses that are bound. */
  readonly bound = { tcp: [] as string[], udp: [] as string[] };
  readonly #tcp: TcpListener[] = [];
  readonly #udp: UdpListener[] = [];

  /** Datagrams come at once, connections wait for setPaused(false). Rejects as openSockets does. */
  async open(options: FrontDoorOptions): Promise<void> {
    const { passed, startWorkers, log, notice, onAccept, onDatagram } = options;
    const config = options.config.default;
    const io = socketsIn(options.io, config['listen-netns']);
    const { tcp, udp, notices } = await openSockets(io, config, { passed, withTcp: startWorkers });
    for (const { fd, address } of tcp) {
      this.#tcp.push(new TcpListener(io, fd, log, onAccept));
      this.bound.tcp.push(address);
    }
    for (const { fd, address } of udp) {
      this.#udp.push(new UdpListener(io, fd, log, onDatagram));
      this.bound.udp.push(address);
    }
    for (const each of notices) notice(each);
  }

  setPaused(paused: boolean): void {
    for (const listener of this.#tcp) listener.setPaused(paused);
  }

  /** No new connections; datagrams of those who are there still come. */
  closeTcp(): void {
    for (const listener of this.#tcp.splice(0)) listener.close();
  }

  close(): void {
    this.closeTcp();
    for (const listener of this.#udp.splice(0)) listener.close();
  }
}
