/** A secmod in this process, joined to a main and to workers by memory channels: real codec, real checks. */
import { execFileSync } from 'node:child_process';
import { createSecretKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { buildConfig } from '../../src/core/config/load.js';
import type { ServerConfig } from '../../src/core/config/schema.js';
import type { Channel, Handlers } from '../../src/core/ipc/api.js';
import { joinChannels } from '../../src/core/ipc/memory-channel.js';
import type { Body } from '../../src/core/ipc/messages.js';
import { workerHmac } from '../../src/core/ipc/worker-hmac.js';
import { issueCa, issueServer } from '../../src/core/pki/issue.js';
import type { AccountingPlugin, AuthBackendPlugin } from '../../src/core/plugin-api/index.js';
import { Secmod } from '../../src/core/secmod/secmod.js';
import { MemoryStore } from '../../src/core/secmod/state-store.js';
import { Vhosts } from '../../src/core/secmod/vhosts.js';

export type WorkerEnd = Channel<'worker', 'secmod'>;
export type MainEnd = Channel<'main', 'secmod'>;

export const HMAC_KEY = Buffer.alloc(32, 7);
const ORIGIN = { origRemoteIp: '192.0.2.1', ourIp: '198.51.100.1' };
const PEER = { pid: 4711, uid: 0, gid: 0 };

export interface LabOptions {
  readonly plugin?: AuthBackendPlugin;
  /** Further back ends. */
  readonly plugins?: readonly AuthBackendPlugin[];
  readonly auth: string;
  readonly config?: object;
  /** Accounting back ends. */
  readonly acct?: ReadonlyMap<string, AccountingPlugin>;
}

/** Writes a key of this type and a certificate for it; returns their paths. */
export function makeKeyPair(
  directory: string,
  type: 'rsa' | 'ed25519' | 'P-256' | 'P-384',
): [string, string] {
  const { privateKey } =
    type === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : type === 'ed25519'
        ? generateKeyPairSync('ed25519')
        : generateKeyPairSync('ec', { namedCurve: type });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const [certPath, keyPath] = [join(directory, `${type}.crt`), join(directory, `${type}.key`)];
  writeFileSync(keyPath, key, { mode: 0o600 });
  execFileSync('openssl', [
    'req',
    '-x509',
    '-new',
    '-key',
    keyPath,
    '-subj',
    '/CN=lab',
    '-days',
    '2',
    '-out',
    certPath,
  ]);
  return [certPath, keyPath];
}

export class SecmodLab {
  readonly directory: string;
  readonly secmod: Secmod;
  readonly main: MainEnd;
  readonly bans: Body<'SECM_BAN_IP'>[] = [];
  readonly stats: Body<'SECM_STATS'>[] = [];
  /** As of toldSteps(). */
  readonly steps: Body<'SECM_LOGIN_STEPS'>['steps'] = [];
  readonly logged: string[] = [];
  /** What main answers to SECM_BAN_IP. */
  banAllowed = true;
  /** Configuration that the next SECM_RELOAD reads. */
  nextConfig: () => ServerConfig;
  nowMs = 1_800_000_000_000;

  private constructor(directory: string, make: (lab: SecmodLab) => Secmod, config: ServerConfig) {
    this.directory = directory;
    this.nextConfig = () => config;
    this.secmod = make(this);
    this.main = this.connectMain();
  }

  static async start({
    plugin,
    plugins = [],
    auth,
    config = {},
    acct = new Map(),
  }: LabOptions): Promise<SecmodLab> {
    const directory = mkdtempSync(join(tmpdir(), 'ocvpn-secmod-'));
    const day = { notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + 86_400_000) };
    const server = await issueServer(
      await issueCa({ key: null }, day),
      null,
      { dns: ['localhost'], ip: [] },
      day,
    );
    const [cert, key] = [join(directory, 'server.crt'), join(directory, 'server.key')];
    writeFileSync(cert, server.certificate);
    writeFileSync(key, server.key);
    const document = {
      auth: [auth.replace('$DIR', directory)],
      'server-cert': [cert],
      'server-key': [key],
      'ipv4-network': '10.0.0.0/24',
      ...config,
    };
    const built = buildConfig(document, {}, null);
    const all = [...(plugin ? [plugin] : []), ...plugins];
    const lines: string[] = [];
    const log = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
    const vhosts = await Vhosts.load(built, {
      plugins: { auth: new Map(all.map((each) => [each.manifest.name, each])), acct },
      stateDir: directory,
      log,
    });
    const lab = new SecmodLab(
      directory,
      (self) =>
        new Secmod({
          vhosts,
          store: new MemoryStore(100),
          log,
          nowMs: () => self.nowMs,
          readConfig: () => self.nextConfig(),
          ownUid: 0,
        }),
      built,
    );
    (lab as { logged: string[] }).logged = lines;
    await lab.main.call('SECM_STARTUP', { hmacKey: HMAC_KEY, workerUid: 65_534 });
    return lab;
  }

  /** Secmod tells the steps of logins once a second; here now. Resolves when main has them. */
  async toldSteps(): Promise<void> {
    await this.secmod.report();
    await this.main.call('SECM_LIST_COOKIES', {});
  }

  connectMain(): MainEnd {
    const handlers: Handlers<'main', 'secmod'> = {
      SECM_BAN_IP: (body) => {
        this.bans.push(body);
        return { allowed: this.banAllowed };
      },
      SECM_END_SESSION: () => ({ count: 0 }),
      SECM_STATS: (body) => {
        this.stats.push(body);
      },
      SECM_LOGIN_STEPS: ({ steps }) => {
        this.steps.push(...steps);
      },
    };
    const options = this.secmod.accept('main', PEER);
    if (options?.peer !== 'main') throw new Error('main was not accepted');
    return joinChannels(
      { self: 'main', peer: 'secmod', handlers, log: pino({ level: 'silent' }) },
      options,
    )[0];
  }

  connectWorker(onClose: () => void = () => {}): WorkerEnd {
    const options = this.secmod.accept('worker', PEER);
    if (options?.peer !== 'worker') throw new Error('the worker was not accepted');
    const log = pino({ level: 'silent' });
    return joinChannels({ self: 'worker', peer: 'secmod', handlers: {}, log, onClose }, options)[0];
  }

  init(
    client: number,
    userName: string,
    changes: Partial<Body<'SEC_AUTH_INIT'>> = {},
  ): Body<'SEC_AUTH_INIT'> {
    const sessionStartTime = Math.floor(this.nowMs / 1000);
    return {
      client,
      vhost: 'default',
      userName,
      groupName: '',
      way: 0,
      remoteIp: ORIGIN.origRemoteIp,
      ...ORIGIN,
      sessionStartTime,
      hmac: workerHmac(createSecretKey(HMAC_KEY), { ...ORIGIN, sessionStartTime }),
      userAgent: 'lab',
      devicePlatform: '',
      deviceType: '',
      ...changes,
    };
  }

  async stop(): Promise<void> {
    this.main.close();
    await this.secmod.close();
    rmSync(this.directory, { recursive: true });
  }
}

/** INIT, then one answer after the other; the last reply. */
export async function logIn(
  worker: WorkerEnd,
  init: Body<'SEC_AUTH_INIT'>,
  ...passwords: string[]
): Promise<Body<'SEC_AUTH_REPLY'>> {
  let { body } = await worker.call('SEC_AUTH_INIT', init);
  for (const password of passwords) {
    if (body.reply !== 'MSG' || !body.sid) break;
    const answer = { client: init.client, sid: body.sid, password: Buffer.from(password) };
    ({ body } = await worker.call('SEC_AUTH_CONT', answer));
  }
  return body;
}
