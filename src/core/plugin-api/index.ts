/**
 * What an authentication back end implements. Back ends are oclif plugins: npm packages whose package.json says
 *
 *     "oclif": { "hooks": { "vpn:auth-backends": "./dist/hook.js" } }
 *
 * secmod, and no other process, calls the hook once at its start with `AuthBackendsHookOptions`; the hook
 * registers its back ends. A login then is: `begin` → conversation.start() → a prompt → conversation.answer() →
 * … until a step says ok or a final fail. Nothing of a back end runs in main or in a worker.
 *
 * A plugin needs only the types of this module (`import type`), so that it has no run-time dependency on us.
 */

/** Raised when this interface changes in a way that old back ends do not fit. */
export type ApiVersion = 1;

export interface AuthBackendsHookOptions {
  readonly apiVersion: ApiVersion;
  register(plugin: AuthBackendPlugin): void;
  registerAccounting(plugin: AccountingPlugin): void;
}

/** The default export of the hook's module; `this` is not used. */
export type AuthBackendsHook = (options: AuthBackendsHookOptions) => void | Promise<void>;

export interface AuthBackendPlugin {
  readonly manifest: AuthBackendManifest;
  /**
   * Called for every virtual host that names this back end in `auth`, with sub-options that fit the manifest.
   * An error that it throws stops the server's start with the text of the error.
   */
  create(options: BackendOptions, host: BackendHost): Promise<AuthBackend>;
}

export interface AuthBackendManifest {
  /** As in `auth = name[…]`. */
  readonly name: string;
  /** Sub-options by name; others are refused before `create` is called. */
  readonly options: Readonly<Record<string, BackendOptionSpec>>;
  /**
   * What it does beyond reading its files. secmod gives up what no configured back end needs. Absent: everything, and
   * then hardly anything is given up; say `[]` if you can.
   */
  readonly needs?: readonly BackendNeed[];
  /** Wrong answers in one login before it fails for good; 0: the conversation alone decides. */
  readonly maxTries: number;
  /** What the client shows to it; absent: 'password'. */
  readonly credential?: Credential;
}

/**
 * programs: it executes others (also by a library: PAM); network: it has IP sockets; root: it must be the user that
 * secmod was started as (PAM modules that ask who calls them). Files of any owner can be read and written without.
 */
export type BackendNeed = 'programs' | 'network' | 'root';

/**
 * 'password': a user name and answers to prompts; 'certificate': LoginContext.certificate, without a prompt;
 * 'negotiate': tokens of HTTP's Negotiate (SPNEGO), one an answer. Only the first one has the user type a name.
 */
export type Credential = 'password' | 'certificate' | 'negotiate';

/**
 * A client certificate. The server has verified its chain, revocation and purpose, and that the client holds the key:
 * what is left to a back end is whose it is.
 */
export interface ClientCertificate {
  readonly der: Uint8Array;
  /** cert-user-oid and cert-group-oid as they are now: where in the certificate the names are; '' for none. */
  readonly userField: string;
  readonly groupField: string;
}

export interface CertificateHolder {
  readonly userName: string;
  readonly groups: readonly string[];
}

export interface BackendOptionSpec {
  readonly type: 'string' | 'number' | 'boolean';
  readonly required?: boolean;
  /** Takes the value of ocserv's older form without a name: `plain[/path]`. */
  readonly positional?: boolean;
  readonly doc: string;
}

export type BackendOptions = Readonly<Record<string, string | number | boolean>>;

export interface BackendHost {
  readonly vhost: string;
  readonly log: BackendLog;
}

export interface AccountingHost extends BackendHost {
  /** Directory for what must outlive the process; made by the back end, only root may enter its parent. */
  readonly stateDir: string;
  /** Ends sessions of this virtual host as an administrator does; resolves with their number. */
  endSessions(matches: (session: AccountedSession) => boolean): Promise<number>;
  /**
   * Changes what is given of sessions of this virtual host, for as long as they live; resolves with their number. Their
   * clients are cut off and come back by their cookies, within a second as a rule, since a running tunnel keeps what it
   * has. Rejects when a value cannot be used.
   */
  changeSessions(matches: (session: AccountedSession) => boolean, change: SessionSettings): Promise<number>;
}

/** Accounting back ends are named in `acct`; otherwise as AuthBackendPlugin. */
export interface AccountingPlugin {
  readonly manifest: Pick<AuthBackendManifest, 'name' | 'options' | 'needs'>;
  create(options: BackendOptions, host: AccountingHost): Promise<AccountingBackend>;
}

/** Must not block a session: the methods but `admit` take the record and return, delivery is the back end's care. */
export interface AccountingBackend {
  /** Before a session begins: false refuses it. Absent: all may. Should answer within 10 s. */
  admit?(session: AccountedSession): Promise<boolean>;
  /** Once per session, however often its client connects again. */
  start(session: AccountedSession): void;
  interim(session: AccountedSession, usage: SessionUsage): void;
  stop(session: AccountedSession, usage: SessionUsage, reason: StopReason): void;
  close?(): void | Promise<void>;
}

export interface AccountedSession {
  readonly sessionId: string;
  readonly userName: string;
  readonly groupName: string;
  /** Of the client outside. */
  readonly remoteIp: string;
  /** Of the server, '' when it is not known. */
  readonly ourIp: string;
  readonly userAgent: string;
  /** Inside the tunnel, '' without. */
  readonly ipv4: string;
  readonly ipv6: string;
  /** What the authentication back end gave for it; '' without. */
  readonly accountingState: string;
}

/** Of all tunnels of the session. */
export interface SessionUsage {
  readonly seconds: number;
  /** From the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export type StopReason =
  | 'user-disconnect'
  | 'server-disconnect'
  | 'idle-timeout'
  | 'session-timeout'
  | 'dpd-timeout'
  | 'error'
  | 'other';

/** What a back end decides about a session; absent: as the virtual host has it. */
export interface SessionSettings {
  readonly ipv4?: string;
  /** Dotted; with ipv4: the network in which the server's end is the first address. */
  readonly ipv4Netmask?: string;
  readonly ipv6?: string;
  /** A network with its length, all of it for this client; it may lie outside the pool, whose server end stays. */
  readonly ipv6Network?: string;
  /** Instead of those of the virtual host. */
  readonly routes?: readonly string[];
  readonly dns?: readonly string[];
  readonly sessionTimeoutSec?: number;
  readonly idleTimeoutSec?: number;
  readonly statsReportTimeSec?: number;
  readonly rxBytesPerSec?: number;
  readonly txBytesPerSec?: number;
}

/** Structured log. Never give it passwords, tokens or hashes. */
export interface BackendLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** One configured back end. Many logins run in it at once. */
export interface AuthBackend {
  /** Its steps return `session`: config-per-user and config-per-group are then a mistake. */
  readonly configuresSessions?: boolean;
  /** Must not reveal whether the user exists, neither by its steps nor by its time. */
  begin(login: LoginContext): Conversation;
  /** All groups that a user may select, for auto-select-group; absent: the back end cannot list them. */
  groups?(): Promise<readonly string[]>;
  /** With the credential 'certificate': whose it is, for the login form; null: it names no user. */
  holderOf?(certificate: ClientCertificate): CertificateHolder | null;
  /** At the end of the process, or when the configuration no longer names it. */
  close?(): void | Promise<void>;
}

export interface LoginContext {
  /** As typed; at most 64 bytes, not checked otherwise. '' only where no password is asked for. */
  readonly userName: string;
  /** Group that the user selected, '' without one. The caller checks membership in what a step returns. */
  readonly groupName: string;
  /** The one that the client has shown on its connection; null without. */
  readonly certificate: ClientCertificate | null;
  /** Address of the client, verified to be the one that main accepted. */
  readonly remoteIp: string;
  /** Address of the server that the client reached. */
  readonly ourIp: string;
  readonly vhost: string;
  readonly userAgent: string;
  /** Name of the session that the login leads to (safe_id), also given to accounting; no secret. */
  readonly sessionId: string;
  /** Aborted when the client goes away, the deadline passes or the server stops: give up whatever is pending. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch at which the login is given up. */
  readonly deadline: number;
}

/** One login. Its methods are called one after the other, never at once; an error thrown fails the login. */
export interface Conversation {
  start(): Promise<Step>;
  /** The answer to the last prompt. The buffer is wiped by the caller afterwards: do not keep it. */
  answer(secret: Uint8Array): Promise<Step>;
  /** Called once at the end, however it ends. */
  end?(): void;
}

export type Step =
  | {
      readonly result: 'ok';
      /** The name that the session gets, usually the one that was typed. */
      readonly userName: string;
      /** Groups of the user, in order; the first is taken when none was selected. */
      readonly groups: readonly string[];
      /** Configuration of the session, in place of the files of user and group; absent: those files count. */
      readonly session?: SessionSettings;
      /** Text that accounting gets with the session, at most 8192 bytes; no secret. */
      readonly accountingState?: string;
      /** Last token for the client, with the credential 'negotiate'. */
      readonly token?: Uint8Array;
    }
  | {
      readonly result: 'prompt';
      /** Text for the user, at most 1024 bytes; '' asks for the password in the standard words. */
      readonly message: string;
      /** 0: the password; n: the nth further factor. */
      readonly counter: number;
      /** With the credential 'negotiate', and only then: for the client, empty before its first one. */
      readonly token?: Uint8Array;
    }
  | {
      readonly result: 'fail';
      /** The same prompt may be answered once more, as long as tries are left. */
      readonly retry: boolean;
      /** Text for the next prompt; '' for the standard words. */
      readonly message: string;
    };
