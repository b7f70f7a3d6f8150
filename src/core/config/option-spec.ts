/** What the schema says about one configuration option, and the helpers that its tables are written with. */

/** global: the server as a whole; vhost: may differ per virtual host; user: vhost plus per user and group. */
export type Scope = 'global' | 'vhost' | 'user';
/** Which processes need it; a worker is sent only what is marked 'worker'. */
export type Consumer = 'main' | 'secmod' | 'worker';

/**
 * Syntax of a text, or of each text of a list; formats.ts has the checks. file, directory and program must be there
 * (file-check.ts), a path need not.
 */
export type Format =
  | 'address'
  | 'auth'
  | 'camouflage-secret'
  | 'certificate-name'
  | 'device'
  | 'directory'
  | 'domain'
  | 'domains'
  | 'file'
  | 'group-option'
  | 'header'
  | 'host'
  | 'ipv4'
  | 'ipv6'
  | 'kkdcp'
  | 'listen-address'
  | 'network'
  | 'path'
  | 'ports'
  | 'program'
  | 'route'
  | 'url';

/** What happens to an option that does not do what it says: a notice when it is set, or an error. */
export interface Unsupported {
  readonly level: 'notice' | 'refused';
  /** The reason, as a sentence's end: "OPTION: {say}". */
  readonly say: string;
}

export interface OptionSpec<T = unknown> {
  readonly type: 'boolean' | 'number' | 'string' | 'list';
  readonly default: T;
  /** ocserv's default where ours differs: it holds for files in ocserv's format. */
  readonly confDefault?: T;
  readonly scope: Scope;
  /** Changes with a reload; otherwise needs a restart. */
  readonly reloadable: boolean;
  readonly for: readonly Consumer[];
  /** Unit of a number, e.g. 'seconds', 'bytes/s'. */
  readonly unit?: string;
  readonly min?: number;
  /** Of a number its value, of a text its bytes, of a list its items. */
  readonly max?: number;
  readonly values?: readonly string[];
  readonly format?: Format;
  /** A number that may be written in hexadecimal (0x20). */
  readonly hex?: boolean;
  /** In ocserv's format quotes are part of the value. */
  readonly verbatim?: boolean;
  /** Older names that are still read. */
  readonly aliases?: readonly string[];
  /** ocserv's first release with it when that is after 1.1.6; 'ocvpn' for an option that ocserv does not have. */
  readonly since?: string;
  /** Only in per-user and per-group files. */
  readonly userFileOnly?: boolean;
  /** Holds a secret: never shown in logs or by `vpn config show`. */
  readonly secret?: boolean;
  /** Absent: it does what it says. */
  readonly support?: Unsupported;
  /** What it does, in sentences for the administrator. */
  readonly doc: string;
}

type Rest = Omit<OptionSpec, 'type' | 'default' | 'confDefault'>;

export const text = <const R extends Rest & { confDefault?: string }>(value: string, rest: R) => ({
  type: 'string' as const,
  default: value,
  ...rest,
});
export const num = <const R extends Rest & { confDefault?: number }>(value: number, rest: R) => ({
  type: 'number' as const,
  default: value,
  ...rest,
});
export const flag = <const R extends Rest & { confDefault?: boolean }>(value: boolean, rest: R) => ({
  type: 'boolean' as const,
  default: value,
  ...rest,
});
export const many = <const R extends Rest>(rest: R) => ({
  type: 'list' as const,
  default: [] as readonly string[],
  ...rest,
});

export const G = { scope: 'global', reloadable: true } as const;
export const GN = { scope: 'global', reloadable: false } as const;
export const V = { scope: 'vhost', reloadable: true } as const;
export const VN = { scope: 'vhost', reloadable: false } as const;
export const U = { scope: 'user', reloadable: true } as const;
export const main = { for: ['main'] } as const;
export const secmod = { for: ['secmod'] } as const;
export const worker = { for: ['worker'] } as const;
export const all = { for: ['main', 'secmod', 'worker'] } as const;
export const mainWorker = { for: ['main', 'worker'] } as const;
export const secmodWorker = { for: ['secmod', 'worker'] } as const;
export const mainSecmod = { for: ['main', 'secmod'] } as const;

/** Known, accepted for old files, without effect for good. */
export const noEffect = <const S extends string>(say: S) =>
  ({ support: { level: 'notice', say: `has no effect: ${say}` as const } }) as const;
/** Known, and an error when it is set. */
export const refused = <const S extends string>(say: S) => ({ support: { level: 'refused', say } }) as const;
