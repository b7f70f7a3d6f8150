/** The addon in ../native: libpam, one thread per transaction. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface TransactionOptions {
  /** Name of the file in /etc/pam.d. */
  readonly service: string;
  readonly user: string;
  readonly remoteHost: string;
  readonly tty: string;
  /** Directory of service files in place of the system's; ''. */
  readonly confdir: string;
}

export interface PamMessage {
  readonly kind: 'prompt' | 'info' | 'error';
  /** The answer may be shown while it is typed. */
  readonly echo: boolean;
  readonly text: string;
}

export interface PamOutcome {
  /** What gave the code: pam_start, pam_authenticate, pam_acct_mgmt or pam_chauthtok. */
  readonly stage: 'start' | 'authenticate' | 'account' | 'password';
  /** As in _pam_types.h; 0 is success. */
  readonly code: number;
  readonly text: string;
  /** After a success: PAM_USER, which modules may change, and the Unix groups, the primary one first. */
  readonly user: string;
  readonly groups: readonly { readonly name: string; readonly gid: number }[];
}

/** Messages of one call of the conversation function, or, as the last event, the outcome. */
export type OnEvent = (messages: readonly PamMessage[], outcome: PamOutcome | null) => void;

export interface Transaction {
  /** The answer to the next prompt; it is copied and the copy is wiped after use. false: none is expected. */
  answer(secret: Uint8Array): boolean;
  /** No more events. The thread ends when its module returns. */
  abandon(): void;
}

interface PamAddon {
  /** Starts at once. Throws if there is no thread. */
  readonly Transaction: new (
    options: TransactionOptions,
    onEvent: OnEvent,
  ) => Transaction;
  /** Threads that run, and how many of them nobody waits for any more. */
  threads(): { readonly running: number; readonly abandoned: number };
}

let addon: PamAddon | undefined;

/** Loads it once. Throws, naming the Debian package that is missing. */
export function loadAddon(): PamAddon {
  if (addon) return addon;
  const path = built('ocvpn_pam.node');
  try {
    addon = createRequire(import.meta.url)(path) as PamAddon;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    throw new Error(`PAM cannot be used (${reason}): install the Debian package libpam0g`, { cause: error });
  }
  return addon;
}

/** Path of the program that holds one PAM session. Throws as loadAddon. */
export function sessionProgram(): string {
  return built('ocvpn_pam_session');
}

function built(name: string): string {
  const path = join(packageRoot(), 'native', 'build', 'Release', name);
  if (existsSync(path)) return path;
  throw new Error(
    'PAM support is not built: install the Debian package libpam0g-dev and run "npm run setup"',
  );
}

/** The directory with package.json: at different heights above the sources and the build. */
function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json')) && directory !== '/') directory = dirname(directory);
  return directory;
}
