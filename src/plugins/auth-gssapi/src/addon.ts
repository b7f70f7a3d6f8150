/** The addon in ../native: the accepting side of GSSAPI with Kerberos 5, each leg on a thread of its own. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

declare const credential: unique symbol;
/** The keys of the service. */
export interface Credential {
  readonly [credential]: true;
}

export interface LegOutcome {
  /** Why this login cannot succeed, in the words of the library; '' otherwise. */
  readonly error: string;
  /** No further leg is needed. */
  readonly complete: boolean;
  /** For the client; may be empty, and may be there with an error, too. */
  readonly token: Uint8Array;
  /** When complete: who it is, e.g. alice@EXAMPLE.COM. */
  readonly principal: string;
  /** Name of the principal on this machine (auth_to_local of krb5.conf); '' without. */
  readonly localName: string;
  /** When the user logged in at the KDC, seconds since the epoch; 0: unknown. */
  readonly authTime: number;
  /** Unix groups, the primary one first. */
  readonly groups: readonly { readonly name: string; readonly gid: number }[];
}

export interface Negotiation {
  /** The next token of the client. Legs must not overlap. Throws if there is no thread. */
  accept(token: Uint8Array, done: (outcome: LegOutcome) => void): void;
}

interface GssapiAddon {
  readonly Negotiation: new (credential: Credential) => Negotiation;
  /** `keytab` '' is the system's. A text is the reason why there is no credential. */
  acquire(keytab: string): Credential | string;
  /** Legs that run, wanted or not. */
  runningLegs(): number;
}

let addon: GssapiAddon | undefined;

/** Loads it once. Throws, naming the Debian package that is missing. */
export function loadAddon(): GssapiAddon {
  if (addon) return addon;
  const path = join(packageRoot(), 'native', 'build', 'Release', 'ocvpn_gssapi.node');
  if (!existsSync(path)) {
    throw new Error(
      'GSSAPI support is not built: install the Debian package libkrb5-dev and run "npm run setup"',
    );
  }
  try {
    addon = createRequire(import.meta.url)(path) as GssapiAddon;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    throw new Error(`GSSAPI cannot be used (${reason}): install the Debian package libgssapi-krb5-2`, {
      cause: error,
    });
  }
  return addon;
}

/** The directory with package.json: at different heights above the sources and the build. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json')) && directory !== '/') directory = dirname(directory);
  return directory;
}
