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
import { type JudgedCertificate, judgeChain } from './test-certificate.js';
import { asksForName, closeWays, type LoginWay, makeWays } from './ways.js';

export interface TestLoginRequest {
  readonly config: ServerConfig;
  readonly plugins: ReadonlyMap<string, AuthBackendPlugin>;
  /** '' if no way asks for one. */
  readonly userName: string;
  readonly vhost: string;
  /** Group to select, '' for none. */
  readonly groupName: string;
  /** What the client shows in its TLS handshake, DER, leaf first; null for nothing. */
  readonly certificate: readonly Uint8Array[] | null;
  /** Asks the user; the prompt is '' for the standard words. */
  readonly answer: (prompt: string, counter: number) => Promise<string>;
  readonly log: Logger;
}

export interface TestLoginStep {
  /** 'certificate': whose it is; 'prompt': asked for something; the last step is 'accepted' or 'refused'. */
  readonly step: 'certificate' | 'prompt' | 'accepted' | 'refused';
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

const NEEDS_TICKET =
  'a Kerberos ticket is wanted, which only a client can show: try it with openconnect --cookieonly';
const NEEDS_CERTIFICATE = 'a client certificate is wanted: show one with --cert';
/** The client is this machine. */
const ADDRESS = '127.0.0.1';

/** Throws errors of the catalogue: the configuration, or what `answer` throws. */
export async function testLogin(request: TestLoginRequest): Promise<TestLoginResult> {
  const vhost = vhostOf(request.config, request.vhost);
  const ways = await makeWays(vhost, request.plugins, request.log);
  try {
    const shown = request.certificate && judgeChain(vhost, ways, request.certificate);
    const good = typeof shown === 'string' ? null : shown;
    const way = triedWay(ways, good);
    const steps = stepsBefore(request, way, shown);
    const session =
      steps.at(-1)?.step === 'refused' ? null : await logIn(request, vhost, ways, way, good, steps);
    return { vhost: vhost.name, auth: vhost.auth, steps, session };
  } finally {
    await closeWays(ways);
  }
}

/** Adds to `steps`. */
async function logIn(
  request: TestLoginRequest,
  config: VhostConfig,
  ways: readonly LoginWay[],
  way: LoginWay,
  shown: JudgedCertificate | null,
  steps: TestLoginStep[],
): Promise<TestLoginResult['session']> {
  const { log } = request;
  const iroutes = readIroutes(config, (problem) => log.warn(problem));
  const store = new MemoryStore(1);
  const deps = {
    store,
    statistics: new LoginStatistics(),
    log,
    nowMs: Date.now,
    ban: async () => true,
    pace: { enter: async () => () => {} },
  };
  const files = { keys: [], clientTrust: null, ocspResponse: Buffer.alloc(0), profile: null };
  const login = new LoginAttempt(deps, {
    init: initFor(request, ways.indexOf(way), asksForName(way) ? request.userName : ''),
    vhost: { config, ...files, iroutes, accounting: null, ways },
    way,
    certificate: shown?.certificate ?? null,
  });
  const expiry = setInterval(() => login.expire(), 1000);
  try {
    const sid = await converse(login, request.answer, steps);
    if (!sid) return null;
    const sessions = new Sessions({
      store,
      now: nowSec,
      vhost: () => config,
      iroutes: () => iroutes,
      accounting: () => null,
      log,
    });
    const { reply, reason, session } = await sessions.open({ client: 1, sid, remoteIp: ADDRESS });
    // The login was right, but the session cannot be made: the files of the user or the group, e.g.
    if (reply === 'FAILED') steps.push({ step: 'refused', message: reason, counter: 0, tookMs: 0 });
    if (!session) return null;
    // Not the SID, which is a cookie.
    const { userName, groupName, config: settings } = session;
    return { userName, groupName, config: settings };
  } finally {
    clearInterval(expiry);
    await login.abandon();
  }
}

/** As a client without a ticket: with a certificate a way that takes it, else the first one that needs a password only. */
function triedWay(ways: readonly LoginWay[], shown: JudgedCertificate | null): LoginWay {
  const open = ways.filter(({ methods }) =>
    methods.every(
      ({ credential }) => credential === 'password' || (shown !== null && credential === 'certificate'),
    ),
  );
  const way = open.find(needsCertificate) ?? open[0] ?? ways[0];
  if (!way) throw new Error('a virtual host without a way to log in');
  return way;
}

const needsCertificate = ({ methods }: LoginWay): boolean =>
  methods.some(({ credential }) => credential === 'certificate');

/** What is known before the first question; throws OCS_NO_USER_NAME. */
function stepsBefore(
  { userName }: TestLoginRequest,
  way: LoginWay,
  shown: JudgedCertificate | string | null,
): TestLoginStep[] {
  const step = (name: TestLoginStep['step'], message: string): TestLoginStep => ({
    step: name,
    message,
    counter: 0,
    tookMs: 0,
  });
  if (typeof shown === 'string') return [step('refused', `the certificate does not count: ${shown}`)];
  if (shown === null && needsCertificate(way)) return [step('refused', NEEDS_CERTIFICATE)];
  if (userName === '' && asksForName(way)) throw new VpnError('OCS_NO_USER_NAME');
  if (shown === null) return [];
  const { userName: holder, groups } = shown.holder;
  const whose = step('certificate', [holder, ...groups].join(', '));
  if (userName === '' || userName === holder) return [whose];
  return [whose, step('refused', `the certificate is not that of ${userName}`)];
}

/** Answers until the login is over; adds to `steps`. The SID of a good one. */
async function converse(
  login: LoginAttempt,
  answer: TestLoginRequest['answer'],
  steps: TestLoginStep[],
): Promise<Uint8Array | null> {
  let started = performance.now();
  let reply = await login.begin();
  for (;;) {
    const { message, passwdCounter: counter, sid } = reply;
    const tookMs = Math.round(performance.now() - started);
    // A terminal has no tokens of Negotiate to give.
    if (reply.reply === 'MSG' && reply.token) {
      steps.push({ step: 'refused', message: NEEDS_TICKET, counter, tookMs });
      return null;
    }
    const step = ({ MSG: 'prompt', OK: 'accepted', FAILED: 'refused' } as const)[reply.reply];
    steps.push({ step, message, counter, tookMs });
    if (reply.reply !== 'MSG' || !sid) return reply.reply === 'OK' ? sid : null;
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

function initFor(
  { groupName, vhost }: TestLoginRequest,
  way: number,
  userName: string,
): LoginRequest['init'] {
  return {
    client: 1,
    vhost,
    userName,
    groupName,
    way,
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
