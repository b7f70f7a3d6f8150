/** The control socket of `vpn ctl`: JSON lines (see control/verbs.ts). */
import type { EventData } from '../control/results.js';
import {
  MAX_REQUEST,
  type ParsedRequest,
  PROTOCOL_VERSION,
  parseRequest,
  type VerbHandlers,
} from '../control/verbs.js';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import { type AdminIo, type AdminPeer, type AdminProtocol, AdminSocket } from './admin-socket.js';
import { eventData } from './control-handlers.js';
import type { EventFeed } from './event-feed.js';

export type ControlIo = AdminIo;

export interface ControlServerOptions {
  readonly io: AdminIo;
  readonly path: string;
  readonly log: Logger;
  readonly handlers: VerbHandlers;
  readonly events: EventFeed;
}

const LINE_END = 10;

export class ControlServer {
  readonly #socket: AdminSocket;

  /** Listens at once. The caller has made sure that the path is free, and removes it after close(). */
  constructor(options: ControlServerOptions) {
    const { io, path, log } = options;
    this.#socket = new AdminSocket({ io, path, log, protocol: new ControlProtocol(options) });
  }

  close(): void {
    this.#socket.close();
  }
}

/** The JSON lines themselves. */
export class ControlProtocol implements AdminProtocol {
  readonly maxRequest = MAX_REQUEST;
  readonly #options: Pick<ControlServerOptions, 'log' | 'handlers' | 'events'>;

  constructor(options: Pick<ControlServerOptions, 'log' | 'handlers' | 'events'>) {
    this.#options = options;
  }

  requestLength(input: Buffer): number {
    return input.indexOf(LINE_END) + 1;
  }

  async answer(request: Buffer, peer: AdminPeer): Promise<Buffer> {
    const { handlers, log, events } = this.#options;
    try {
      const parsed = parseRequest(request.toString('utf8'));
      if (parsed.verb !== 'events') return reply({ ok: true, data: await dispatch(handlers, parsed) });
      peer.stream(events.subscribe((event) => peer.push(line(eventData(event)))));
      return Buffer.concat((await presentSessions(handlers)).map(line));
    } catch (error) {
      const known =
        error instanceof VpnError
          ? error
          : new VpnError('OCS_CTL_REQUEST', {
              detail: error instanceof RangeError ? error.message : 'internal error',
            });
      if (!(error instanceof VpnError || error instanceof RangeError))
        log.error({ err: error }, 'control request failed');
      const { code, details, message } = known;
      return reply({ ok: false, error: { code, details, message } });
    }
  }
}

/** Who is connected already, as the first lines of a stream of events. */
async function presentSessions(handlers: VerbHandlers): Promise<EventData[]> {
  const users = (await handlers.users({})).filter(({ session }) => session !== null);
  return users.map((user) => ({ type: 'present', time: user.now, reason: null, user }));
}

const line = (event: EventData): Buffer => reply({ ok: true, data: event });

const reply = (body: object): Buffer => Buffer.from(`${JSON.stringify({ v: PROTOCOL_VERSION, ...body })}\n`);

/** The request's arguments fit its verb by construction (parseRequest). */
function dispatch(
  handlers: VerbHandlers,
  { verb, args }: Exclude<ParsedRequest, { verb: 'events' }>,
): unknown {
  const handler = handlers[verb] as (args: ParsedRequest['args']) => unknown;
  return handler(args);
}
