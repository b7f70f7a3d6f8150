/**
 * One login outside of the server, with its configuration: what `vpn auth test` does. It runs in the process of the
 * caller, with the same plugins and the same LoginAttempt as in secmod, so that no password crosses a socket; a server
 * that runs is not touched, and nobody is banned. State that a back end keeps in files (one-time passwords) changes.
 */
import { readIroutes } from '../config/exposed-iroutes.js';
import type { GroupConfig } from '../config/group-config.js';
import type { ServerConfig, VhostConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import type { AuthBackendPlugin } from '../plugin-api/index.js';
import { LoginAttempt, type LoginRequest } from './login-attempt.js';
import { Sessions } from './sessions.js';
import { MemoryStore } from './state-store.js';
import { LoginStatistics } from './statistics.js';
import { closeWays, type LoginWay, makeWays } from './ways.js';

export interface TestLoginRequest {
  readonly config: ServerConfig;
  readonly plugins: ReadonlyMap<string, AuthBackendPlugin>;
  readonly userName: string;
  readonly vhost: string;
  /** Group to select, '' for none. */
  readonly groupName: string;
  /** Asks the user; the prompt is '' for the standard words. */
  readonly answer: (prompt: string, counter: number) => Promise<string>;
  readonly log: Logger;
}

export interface TestLoginStep {
  /** 'prompt': asked for something; the last step is 'accepted' or 'refused'. */
  readonly step: 'prompt' | 'accepted' | 'refused';
  readonly message: string;
  /** 0: the password; n: the nth further factor. */
  readonly counter: number;
  /** Since the answer before, milliseconds. */
  readonly tookMs: number;
}

export interface TestLoginResult {
  readonly vhost: string;
  readonly auth: readonly string[];
  readonly steps: readonly TestLoginStep[];
  /** null: refused. */
  readonly session: {
    readonly userName: string;
    readonly groupName: string;
    readonly config: GroupConfig;
  } | null;
}

const NOT_OPENED = { reply: 'FAILED', reason: '', session: null } as const;
const NEEDS_TICKET = 'a Kerberos ticket is wanted, which cannot be shown here';
/** The client is this machine. */
const ADDRESS = '127.0.0.1';

/** Throws errors of the catalogue: the configuration, or what `answer` throws. */
export async function testLogin(request: TestLoginRequest): Promise<TestLoginResult> {
  const { config, plugins, log } = request;
  const vhost = vhostOf(config, request.vhost);
  const ways = await makeWays(vhost, plugins, log);
  const iroutes = readIroutes(vhost, (problem) => log.warn(problem));
  const store = new MemoryStore(1);
  const deps = {
    store,
    statistics: new LoginStatistics(),
    log,
    nowMs: Date.now,
    ban: async () => true,
    pace: { enter: async () => () => {} },
  };
  const way = triedWay(ways);
  const login = new LoginAttempt(deps, {
    init: { ...initFor(request), way: ways.indexOf(way) },
    vhost: {
      config: vhost,
      keys: [],
      clientTrust: null,
      ocspResponse: Buffer.alloc(0),
      profile: null,
      iroutes,
      accounting: null,
      ways,
    },
    way,
    certificate: null,
  });
  const expiry = setInterval(() => login.expire(), 1000);
  try {
    const { steps, sid } = await converse(login, request.answer);
    const sessions = new Sessions({
      store,
      now: nowSec,
      vhost: () => vhost,
      iroutes: () => iroutes,
      accounting: () => null,
      log,
    });
    const opened = sid ? await sessions.open({ client: 1, sid, remoteIp: ADDRESS }) : null;
    const { reply, reason, session } = opened ?? NOT_OPENED;
    // The login was right, but the session cannot be made: the files of the user or the group, e.g.
    if (reply === 'FAILED' && sid) steps.push({ step: 'refused', message: reason, counter: 0, tookMs: 0 });
    return { vhost: vhost.name, auth: vhost.auth, steps, session };
  } finally {
    clearInterval(expiry);
    await login.abandon();
    await closeWays(ways);
  }
}

/** The first one that needs a password only: there is no client here to show a certificate or a ticket. */
function triedWay(ways: readonly LoginWay[]): LoginWay {
  const typed = ways.find(({ methods }) => methods.every(({ credential }) => credential === 'password'));
  const [first] = ways;
  if (!first) throw new Error('a virtual host without a way to log in');
  return typed ?? first;
}

async function converse(
  login: LoginAttempt,
  answer: TestLoginRequest['answer'],
): Promise<{ steps: TestLoginStep[]; sid: Uint8Array | null }> {
  const steps: TestLoginStep[] = [];
  let started = performance.now();
  let reply = await login.begin();
  for (;;) {
    const { message, passwdCounter: counter, sid } = reply;
    const tookMs = Math.round(performance.now() - started);
    // A terminal has no tokens of Negotiate to give.
    if (reply.reply === 'MSG' && reply.token) {
      steps.push({ step: 'refused', message: NEEDS_TICKET, counter, tookMs });
      return { steps, sid: null };
    }
    const step = ({ MSG: 'prompt', OK: 'accepted', FAILED: 'refused' } as const)[reply.reply];
    steps.push({ step, message, counter, tookMs });
    if (reply.reply !== 'MSG' || !sid) return { steps, sid: reply.reply === 'OK' ? sid : null };
    const secret = Buffer.from(await answer(message, counter));
    started = performance.now();
    reply = await login.answer(sid, secret);
    secret.fill(0);
  }
}

function vhostOf({ default: main, vhosts }: ServerConfig, name: string): VhostConfig {
  const vhost = name === main.name ? main : vhosts.get(name);
  if (vhost) return vhost;
  throw new VpnError('OCS_VHOST_UNKNOWN', { vhost: name, known: [main.name, ...vhosts.keys()].join(', ') });
}

function initFor({ userName, groupName, vhost }: TestLoginRequest): LoginRequest['init'] {
  return {
    client: 1,
    vhost,
    userName,
    groupName,
    way: 0,
    remoteIp: ADDRESS,
    origRemoteIp: ADDRESS,
    ourIp: ADDRESS,
    sessionStartTime: nowSec(),
    hmac: new Uint8Array(32),
    userAgent: 'vpn auth test',
    devicePlatform: '',
    deviceType: '',
  };
}

function nowSec(): number {
  return Math.floor(Date.now() / 1000);
}
