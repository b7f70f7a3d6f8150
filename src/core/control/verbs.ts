/**
 * The verbs of the control socket, once: arguments, result, meaning. Server, client and commands derive from this
 * table.
 *
 * Protocol: JSON lines on a unix stream socket, `{"v":1,"verb":"user","args":{"name":"alice"}}` and back
 * `{"v":1,"ok":true,"data":…}` or `{"v":1,"ok":false,"error":{"code":…,"details":…,"message":…}}`. Only root is answered.
 */
export const PROTOCOL_VERSION = 1;
/** Longest request line in bytes. */
export const MAX_REQUEST = 4096;

export type ArgType = 'string' | 'number';
type ArgSpecs = Readonly<Record<string, ArgType>>;
type ArgValue<T extends ArgType> = T extends 'number' ? number : string;

declare const result: unique symbol;
export interface VerbSpec<A extends ArgSpecs = ArgSpecs, R = unknown> {
  readonly args: A;
  readonly doc: string;
  readonly [result]?: R;
}

const verb =
  <R>() =>
  <const A extends ArgSpecs>(args: A, doc: string): VerbSpec<A, R> => ({ args, doc });

/** Times are seconds since the epoch, sizes bytes. */
export interface StatusData {
  readonly status: 'online';
  readonly pid: number;
  /** null while secmod is being started again. */
  readonly secmodPid: number | null;
  readonly workers: number;
  readonly spareWorkers: number;
  readonly upSince: number;
  readonly now: number;
  readonly activeSessions: number;
  readonly connections: number;
  readonly totalSessions: number;
  readonly totalAuthFailures: number;
  readonly bannedIps: number;
  readonly ipcViolations: number;
  readonly period: {
    readonly since: number;
    readonly sessionsHandled: number;
    readonly timedOutSessions: number;
    readonly timedOutIdleSessions: number;
    readonly errorSessions: number;
    readonly authFailures: number;
    readonly averageAuthMs: number;
    readonly maxAuthMs: number;
    readonly averageSessionSec: number;
    readonly maxSessionSec: number;
    readonly minMtu: number;
    readonly maxMtu: number;
    readonly rxBytes: number;
    readonly txBytes: number;
  };
}

/** A connection; everything below `session` exists once its tunnel is up. */
export interface UserData {
  readonly id: number;
  readonly workerPid: number;
  readonly state: string;
  readonly remoteIp: string;
  readonly localDeviceIp: string;
  readonly connectedAt: number;
  readonly now: number;
  readonly session: SessionData | null;
}

export interface SessionData {
  readonly userName: string;
  readonly groupName: string;
  readonly vhost: string;
  readonly device: string;
  readonly mtu: number;
  readonly ipv4: string | null;
  readonly ipv4Local: string | null;
  readonly ipv6: string | null;
  readonly ipv6Local: string | null;
  readonly userAgent: string;
  readonly hostname: string;
  /** From the client and to it. */
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxPackets: number;
  readonly txPackets: number;
  /** Bytes per second, 0 for none. */
  readonly rxLimit: number;
  readonly txLimit: number;
  readonly dpdSec: number;
  readonly keepaliveSec: number;
  readonly startedAt: number;
  /** base64(SHA1(SID)): names the session without being the cookie. */
  readonly safeId: string;
  readonly tlsCiphersuite: string;
  readonly dtlsCipher: string;
  readonly dtlsActive: boolean;
  readonly dns: readonly string[];
  readonly nbns: readonly string[];
  readonly splitDns: readonly string[];
  /** Empty: everything. */
  readonly routes: readonly string[];
  readonly noRoutes: readonly string[];
  readonly iroutes: readonly string[];
  readonly restrictedToRoutes: boolean;
  readonly restrictedToPorts: string;
}

export const verbs = {
  status: verb<StatusData>()({}, 'State and figures of the server.'),
  users: verb<readonly UserData[]>()({}, 'All connections.'),
  user: verb<readonly UserData[]>()({ name: 'string' }, 'The sessions of one user.'),
  id: verb<readonly UserData[]>()({ id: 'number' }, 'One connection.'),
  'disconnect-user': verb<{ readonly disconnected: number }>()(
    { name: 'string' },
    'End all sessions of a user.',
  ),
  'disconnect-id': verb<{ readonly disconnected: number }>()({ id: 'number' }, 'End one connection.'),
  stop: verb<{ readonly stopping: true }>()({}, 'End all sessions and the server.'),
} as const;

export type VerbName = keyof typeof verbs;
export type VerbArgs<N extends VerbName> =
  (typeof verbs)[N] extends VerbSpec<infer A, unknown> ? { readonly [K in keyof A]: ArgValue<A[K]> } : never;
export type VerbResult<N extends VerbName> =
  (typeof verbs)[N] extends VerbSpec<ArgSpecs, infer R> ? R : never;

/** One handler per verb; a missing one does not compile. */
export type VerbHandlers = { readonly [N in VerbName]: (args: VerbArgs<N>) => VerbResult<N> };

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
