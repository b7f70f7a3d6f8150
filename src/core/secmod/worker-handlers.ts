/** What a worker asks of secmod. Nothing that it says is believed without a check. */
import type { Handlers } from '../ipc/api.js';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import type { KdcRelay } from './kdc-relay.js';
import type { Sessions } from './sessions.js';
import { signatureRefusal, signHandshake } from './signing.js';
import type { LoginStatistics } from './statistics.js';
import type { Vhost, Vhosts } from './vhosts.js';
import { groupsOf } from './ways.js';
import type { WorkerLogins } from './worker-logins.js';

/** What of secmod is there for workers beside their logins. */
interface ForWorkers {
  readonly vhosts: Vhosts;
  readonly sessions: Sessions;
  readonly statistics: LoginStatistics;
  readonly kdcs: KdcRelay;
  readonly log: Logger;
}

export function workerHandlers(secmod: ForWorkers, logins: WorkerLogins): Handlers<'secmod', 'worker'> {
  return {
    SEC_GET_PK: ({ vhost }) => certificatesOf(secmod.vhosts.get(vhost)),
    SEC_GET_VHOST: ({ vhost }) => vhostPages(secmod, vhost),
    SEC_CHECK_COOKIE: async ({ cookie, vhost }) => ({ valid: await secmod.sessions.isGood(cookie, vhost) }),
    SEC_SIGN_DATA: async (body, { channel }) => {
      const signed = await signData(secmod, body, channel.credentials.pid);
      if (signed.signature) logins.certificates.signed(body.vhost, body.data);
      return signed;
    },
    SEC_CLIENT_CERT: (body) => logins.certificates.show(secmod.vhosts.get(body.vhost), body),
    SEC_AUTH_INIT: (body) => logins.init(body),
    SEC_AUTH_CONT: (body) => logins.cont(body),
    SEC_AUTH_END: ({ client }) => logins.end(client),
    SEC_KDC_REQUEST: (body) => secmod.kdcs.ask(secmod.vhosts.get(body.vhost)?.config, body),
    SEC_CLI_STATS: (body) => secmod.sessions.report(body),
  };
}

function certificatesOf(vhost: Vhost | undefined): Body<'SEC_GET_PK_REP'> {
  return {
    chains: (vhost?.keys ?? []).map(({ chain }) => chain),
    clientCa: vhost?.clientTrust?.ca ?? Buffer.alloc(0),
    ocspResponse: vhost?.ocspResponse ?? Buffer.alloc(0),
  };
}

/** SEC_GET_VHOST_REP carries so many. */
const MAX_GROUPS = 512;
const MAX_GROUP_BYTES = 64;

/** Groups are only told where they are shown to everybody anyway. */
async function vhostPages({ vhosts, log }: ForWorkers, name: string): Promise<Body<'SEC_GET_VHOST_REP'>> {
  const vhost = vhosts.get(name);
  const wanted = vhost?.config['auto-select-group'] === true;
  const all = wanted ? await groupsOf(vhost.ways) : [];
  const groups = all.filter((group) => Buffer.byteLength(group) <= MAX_GROUP_BYTES).slice(0, MAX_GROUPS);
  if (groups.length < all.length)
    log.warn({ vhost: name, groups: all.length }, 'too many groups, or too long ones, to offer them all');
  return { groups, profile: vhost?.profile ?? null };
}

async function signData(
  { vhosts, statistics, log }: ForWorkers,
  { vhost, publicKey, scheme, data }: Body<'SEC_SIGN_DATA'>,
  workerPid: number,
): Promise<Body<'SEC_SIGN_DATA_REP'>> {
  const fingerprint = Buffer.from(publicKey).toString('hex');
  const key = vhosts.signingKey(vhost, fingerprint);
  const reason = key ? signatureRefusal(key, scheme, data) : 'no such key';
  if (!key || reason) {
    const refused = statistics.refusedSignature();
    log.warn(
      { workerPid, vhost, publicKey: fingerprint, scheme, bytes: data.length, reason, refused },
      'signature refused',
    );
    return { signature: null };
  }
  return { signature: await signHandshake(key, scheme, data) };
}
