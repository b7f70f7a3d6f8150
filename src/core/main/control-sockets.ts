/** The sockets of the administrator: that of `vpn ctl`, and with use-occtl that of the occtl program. */
import type { Logger } from '../log.js';
import { type ControlDeps, controlHandlers } from './control-handlers.js';
import { type ControlIo, ControlServer } from './control-server.js';
import type { EventFeed } from './event-feed.js';
import { OcctlServer } from './occtl-server.js';
import type { RunPaths } from './paths.js';
import { removeSocket } from './socket-file.js';

export interface ControlSocketsOptions {
  readonly io: ControlIo;
  readonly paths: Pick<RunPaths, 'control' | 'occtl'>;
  readonly log: Logger;
  readonly events: EventFeed;
  readonly deps: ControlDeps;
}

export class ControlSockets {
  readonly #paths: ControlSocketsOptions['paths'];
  readonly #control: ControlServer;
  readonly #startOcctl: () => OcctlServer;
  #occtl: OcctlServer | null = null;

  /** Listens at once; stale socket files are replaced. */
  constructor({ io, paths, log, events, deps }: ControlSocketsOptions) {
    const common = { io, log, events, handlers: controlHandlers(deps) };
    this.#paths = paths;
    removeSocket(paths.control);
    this.#control = new ControlServer({ ...common, path: paths.control });
    this.#startOcctl = () => new OcctlServer({ ...common, path: paths.occtl });
  }

  /** Option use-occtl, which a reload may change. */
  useOcctl(wanted: boolean): void {
    if (wanted === (this.#occtl !== null)) return;
    removeSocket(this.#paths.occtl);
    if (wanted) {
      this.#occtl = this.#startOcctl();
    } else {
      this.#occtl?.close();
      this.#occtl = null;
    }
  }

  close(): void {
    this.useOcctl(false);
    this.#control.close();
    removeSocket(this.#paths.control);
  }
}
