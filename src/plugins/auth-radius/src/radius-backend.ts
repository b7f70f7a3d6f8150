/** The `radius` back end: Access-Request, challenges, groups and configuration from Access-Accept. */
import { randomBytes } from 'node:crypto';
import type {
  AuthBackend,
  AuthBackendPlugin,
  BackendHost,
  BackendOptions,
  Conversation,
  LoginContext,
  Step,
} from '../../../core/plugin-api/index.js';
import { classesOf, type GroupSeparator, groupsOf, isForTunnel, settingsOf } from './authorization.js';
import { codes, NAS_PORT_ASYNC, serviceType } from './dictionary.js';
import { hidePassword, sealAccess } from './digest.js';
import { Failover } from './failover.js';
import { type Attribute, AUTHENTICATOR_BYTES, type Packet, rawValues, textsOf } from './packet.js';
import { type RadiusConfig, readRadiusConfig } from './radcli-conf.js';
import { connectInfo, nasAttributes, withRealm } from './request.js';

const MAX_TRIES = 3;
const MAX_CHALLENGES = 16;
/** Longer ones do not fit into User-Password; no server can have such a password. */
const MAX_PASSWORD_BYTES = 128;

export const radiusPlugin: AuthBackendPlugin = {
  manifest: {
    name: 'radius',
    needs: ['network'],
    maxTries: MAX_TRIES,
    options: {
      config: { type: 'string', required: true, positional: true, doc: "radcli's radiusclient.conf." },
      groupconfig: {
        type: 'boolean',
        doc: 'The configuration of sessions comes from the server, not from files of users and groups.',
      },
      'nas-identifier': { type: 'string', doc: 'NAS-Identifier, instead of the one in the file.' },
      'group-separator': {
        type: 'string',
        doc: 'Between the groups of one Class: semicolon (the default) or comma.',
      },
    },
  },
  create: createRadiusBackend,
};

/** What the conversations of one back end share. */
interface Shared {
  readonly config: RadiusConfig;
  readonly servers: Failover;
  readonly host: BackendHost;
  readonly separator: GroupSeparator;
  readonly groupConfig: boolean;
}

async function createRadiusBackend(options: BackendOptions, host: BackendHost): Promise<AuthBackend> {
  const config = withIdentifier(readRadiusConfig(String(options.config)), options['nas-identifier']);
  if (config.authServers.length === 0) throw new Error(`${options.config} names no authserver`);
  const servers = new Failover(config.authServers, {
    ...config,
    log: host.log,
    patient: true,
  });
  const separator = separatorOf(options['group-separator']);
  const shared: Shared = { config, servers, host, separator, groupConfig: options.groupconfig === true };
  return {
    configuresSessions: shared.groupConfig,
    begin: (login) => new RadiusConversation(shared, login),
    close: () => servers.close(),
  };
}

function withIdentifier(config: RadiusConfig, own: BackendOptions[string] | undefined): RadiusConfig {
  return own === undefined ? config : { ...config, nasIdentifier: String(own) };
}

function separatorOf(option: BackendOptions[string] | undefined): GroupSeparator {
  switch (option ?? 'semicolon') {
    case 'semicolon':
      return ';';
    case 'comma':
      return ',';
    default:
      throw new Error('group-separator must be semicolon or comma');
  }
}

class RadiusConversation implements Conversation {
  readonly #shared: Shared;
  readonly #login: LoginContext;
  /** State of the last challenge, which the next request carries. */
  #state: Uint8Array | null = null;
  #challenges = 0;

  constructor(shared: Shared, login: LoginContext) {
    this.#shared = shared;
    this.#login = login;
  }

  async start(): Promise<Step> {
    return { result: 'prompt', message: '', counter: 0 };
  }

  async answer(password: Uint8Array): Promise<Step> {
    if (password.length > MAX_PASSWORD_BYTES) return { result: 'fail', retry: true, message: '' };
    const { servers } = this.#shared;
    const reply = await servers.exchange(
      (id, secret) => this.#request(id, secret, password),
      this.#login.signal,
    );
    switch (reply.code) {
      case codes.accessAccept:
        return this.#accepted(reply);
      case codes.accessChallenge:
        return this.#challenged(reply);
      case codes.accessReject:
        this.#state = null;
        return { result: 'fail', retry: true, message: textsOf(reply, 'Reply-Message').join('\n') };
      default:
        throw new Error(`a RADIUS reply of code ${reply.code} to a login`);
    }
  }

  #request(id: number, secret: Uint8Array, password: Uint8Array): Buffer {
    const { config } = this.#shared;
    const { userName, remoteIp, ourIp, userAgent, sessionId } = this.#login;
    const authenticator = randomBytes(AUTHENTICATOR_BYTES);
    const attributes: Attribute[] = [
      ['User-Name', withRealm(userName, config)],
      ['User-Password', hidePassword(password, authenticator, secret)],
      ...nasAttributes(config, ourIp),
      ['Calling-Station-Id', remoteIp],
      ['Acct-Session-Id', sessionId],
      ...connectInfo(userAgent),
      ['Service-Type', serviceType.authenticateOnly],
      ['NAS-Port-Type', NAS_PORT_ASYNC],
      ...(this.#state ? [['State', this.#state] as const] : []),
    ];
    const signs = config.messageAuthenticator !== 'off';
    return sealAccess(codes.accessRequest, id, authenticator, attributes, secret, signs);
  }

  #accepted(accept: Packet): Step {
    const { host, separator, groupConfig } = this.#shared;
    const { userName, sessionId } = this.#login;
    const who = { userName, session: sessionId };
    if (!isForTunnel(accept)) {
      host.log.info(who, 'accepted by RADIUS for another Service-Type than Framed');
      return { result: 'fail', retry: false, message: '' };
    }
    const warn = (problem: string): void => host.log.warn({ ...who, problem }, 'RADIUS attributes');
    const session = groupConfig ? { session: settingsOf(accept, warn) } : {};
    const accountingState = classesOf(accept);
    return { result: 'ok', userName, groups: groupsOf(accept, separator), accountingState, ...session };
  }

  #challenged(challenge: Packet): Step {
    this.#challenges++;
    if (this.#challenges > MAX_CHALLENGES) {
      const { userName, sessionId: session } = this.#login;
      this.#shared.host.log.warn({ userName, session }, 'too many RADIUS challenges');
      return { result: 'fail', retry: false, message: '' };
    }
    const [state] = rawValues(challenge, 'State');
    this.#state = state ? Uint8Array.from(state) : null;
    const message = textsOf(challenge, 'Reply-Message').join('\n');
    return { result: 'prompt', message, counter: this.#challenges };
  }
}
