/**
 * The verbs of the control socket, once: arguments, result, meaning. Server, client and commands derive from this
 * table.
 *
 * Protocol: JSON lines on a unix stream socket, `{"v":1,"verb":"user","args":{"name":"alice"}}` and back
 * `{"v":1,"ok":true,"data":…}` or `{"v":1,"ok":false,"error":{"code":…,"details":…,"message":…}}`; `events` answers one such line
 * for each event. Root is answered, and control-group.
 */
import { banShape, cookieShape, eventShape, statusShape, userShape } from './results.js';
import { flag, int, list, type Of, record, type Shape, text } from './shape.js';

export const PROTOCOL_VERSION = 1;
/** Longest request line in bytes. */
export const MAX_REQUEST = 4096;

export type ArgType = 'string' | 'number';
type ArgSpecs = Readonly<Record<string, ArgType>>;
type ArgValue<T extends ArgType> = T extends 'number' ? number : string;

export interface VerbSpec<A extends ArgSpecs = ArgSpecs, R = unknown> {
  readonly args: A;
  readonly doc: string;
  /** Of the answer; of a stream: of each line. */
  readonly result: Shape<R>;
  /** Answers line after line until the client closes. */
  readonly stream: boolean;
}

const verb = <const A extends ArgSpecs, R>(args: A, result: Shape<R>, doc: string): VerbSpec<A, R> => ({
  args,
  doc,
  result,
  stream: false,
});

const disconnected = record({ disconnected: int('Connections that were told to end.') });
const terminated = record({
  terminated: int('Sessions of which the cookie is dead.'),
  disconnected: int('Connections that were told to end.'),
});

export const verbs = {
  status: verb({}, statusShape, 'State and figures of the server.'),
  users: verb({}, list(userShape), 'All connections.'),
  user: verb({ name: 'string' }, list(userShape), 'The sessions of one user.'),
  id: verb({ id: 'number' }, list(userShape), 'One connection.'),
  sessions: verb({}, list(cookieShape), 'All sessions that secmod knows, those without a tunnel too.'),
  session: verb(
    { id: 'string' },
    list(cookieShape),
    'One session, by its id or the first 6 characters of it.',
  ),
  bans: verb({}, list(banShape), 'Addresses with points; those with an expiry time are banned.'),
  'disconnect-user': verb({ name: 'string' }, disconnected, 'End all connections of a user.'),
  'disconnect-id': verb({ id: 'number' }, disconnected, 'End one connection.'),
  'terminate-user': verb({ name: 'string' }, terminated, 'Invalidate all sessions of a user.'),
  'terminate-id': verb({ id: 'number' }, terminated, 'Invalidate the session of one connection.'),
  'terminate-session': verb(
    { id: 'string' },
    terminated,
    'Invalidate one session, by its id or the start of it.',
  ),
  'unban-ip': verb(
    { ip: 'string' },
    record({ unbanned: flag('False: it had no points.') }),
    'Forget the points of an address.',
  ),
  reload: verb(
    {},
    record({ needRestart: list(text(), 'Changed options that keep their old values.') }),
    'Read the configuration, certificates and keys again.',
  ),
  stop: verb({}, record({ stopping: flag() }), 'End all sessions and the server.'),
  events: {
    ...verb({}, eventShape, 'Each session that begins or ends, until the client closes.'),
    stream: true,
  },
} as const;

export type VerbName = keyof typeof verbs;
export type VerbArgs<N extends VerbName> = (typeof verbs)[N]['args'] extends infer A extends ArgSpecs
  ? { readonly [K in keyof A]: ArgValue<A[K]> }
  : never;
export type VerbResult<N extends VerbName> = Of<(typeof verbs)[N]['result']>;
/** Verbs with one answer. */
export type PlainVerb = Exclude<VerbName, 'events'>;

/** One handler per verb with one answer; a missing one does not compile. */
export type VerbHandlers = {
  readonly [N in PlainVerb]: (args: VerbArgs<N>) => VerbResult<N> | Promise<VerbResult<N>>;
};

export type ParsedRequest = {
  readonly [N in VerbName]: { readonly verb: N; readonly args: VerbArgs<N> };
}[VerbName];

/** Reads a request line. Throws RangeError that names what is wrong with it. */
export function parseRequest(line: string): ParsedRequest {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    throw new RangeError('it is not JSON');
  }
  const { v, verb: name, args } = (request ?? {}) as Record<string, unknown>;
  if (v !== PROTOCOL_VERSION) throw new RangeError(`version ${JSON.stringify(v)} is not ${PROTOCOL_VERSION}`);
  if (typeof name !== 'string' || !Object.hasOwn(verbs, name)) {
    throw new RangeError(`there is no verb ${JSON.stringify(name)}`);
  }
  return { verb: name, args: checkArgs(name as VerbName, args ?? {}) } as ParsedRequest;
}

function checkArgs(name: VerbName, given: unknown): Record<string, string | number> {
  const specs: ArgSpecs = verbs[name].args;
  if (typeof given !== 'object' || given === null) throw new RangeError('args is not an object');
  const surplus = Object.keys(given).find((key) => !Object.hasOwn(specs, key));
  if (surplus !== undefined) throw new RangeError(`${name} takes no argument ${JSON.stringify(surplus)}`);
  const checked: Record<string, string | number> = {};
  for (const [key, type] of Object.entries(specs)) {
    const value: unknown = (given as Record<string, unknown>)[key];
    if (typeof value !== type || (typeof value === 'number' && !Number.isSafeInteger(value))) {
      throw new RangeError(`argument ${key} of ${name} is not a ${type}`);
    }
    checked[key] = value as string | number;
  }
  return checked;
}
