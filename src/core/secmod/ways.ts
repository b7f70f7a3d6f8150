/**
 * The ways into a virtual host. Way 0 is the methods of `auth`, which must all say ok; way n is the nth method of
 * `enable-auth`, which is enough by itself (reference features.md §3, protocol.md §4.3).
 */
import type { VhostConfig } from '../config/schema.js';
import type { Logger } from '../log.js';
import type { AuthBackend, AuthBackendPlugin, Credential } from '../plugin-api/index.js';
import { type ConfiguredBackend, createBackend } from './backends.js';
import { combined } from './combined.js';

export interface LoginWay {
  /** Its methods with + between them, for people and metrics: `certificate+plain`. */
  readonly name: string;
  readonly methods: readonly ConfiguredBackend[];
  /** All of them as one. */
  readonly backend: AuthBackend;
  /** Wrong answers allowed in one login, 0: no limit. */
  readonly maxTries: number;
}

/** In the order of the configuration; each back end is made once. Throws as createBackend. */
export async function makeWays(
  vhost: VhostConfig,
  plugins: ReadonlyMap<string, AuthBackendPlugin>,
  log: Logger,
): Promise<LoginWay[]> {
  const made = new Map<string, ConfiguredBackend>();
  const method = async (option: 'auth' | 'enable-auth', text: string): Promise<ConfiguredBackend> => {
    const found = made.get(text) ?? (await createBackend(vhost, option, text, plugins, log));
    made.set(text, found);
    return found;
  };
  try {
    const primary: ConfiguredBackend[] = [];
    for (const text of vhost.auth) primary.push(await method('auth', text));
    const ways = [wayOf(primary, log)];
    for (const text of vhost['enable-auth']) ways.push(wayOf([await method('enable-auth', text)], log));
    return ways;
  } catch (error) {
    await Promise.all([...made.values()].map(({ backend }) => backend.close?.()));
    throw error;
  }
}

/** What needs no answer comes first, so that a certificate of somebody else ends a login before its password counts. */
const ORDER: readonly Credential[] = ['certificate', 'negotiate', 'password'];

/** Bound of SECM_LOGIN_STEPS (ipc/messages.ts). */
const MAX_NAME = 256;

function wayOf(methods: readonly ConfiguredBackend[], log: Logger): LoginWay {
  const sorted = ORDER.flatMap((credential) => methods.filter((method) => method.credential === credential));
  // The method that asks is the one whose wrong answers count.
  const maxTries = sorted.at(-1)?.maxTries ?? 0;
  return {
    name: sorted
      .map(({ name }) => name)
      .join('+')
      .slice(0, MAX_NAME),
    methods: sorted,
    backend: combined(
      sorted.map(({ backend }) => backend),
      log,
    ),
    maxTries,
  };
}

/** Ends the back ends of all ways. */
export async function closeWays(ways: readonly LoginWay[]): Promise<void> {
  const backends = new Set(ways.flatMap(({ methods }) => methods.map(({ backend }) => backend)));
  await Promise.all([...backends].map((backend) => backend.close?.()));
}

/** All groups that a user may select, in whichever way, of the back ends that can list them. */
export async function groupsOf(ways: readonly LoginWay[]): Promise<string[]> {
  const backends = new Set(ways.flatMap(({ methods }) => methods.map(({ backend }) => backend)));
  const lists = await Promise.all([...backends].map(async (backend) => (await backend.groups?.()) ?? []));
  return [...new Set(lists.flat())];
}

/** The method that takes certificates; undefined without one. */
export function certificateMethod(ways: readonly LoginWay[]): ConfiguredBackend | undefined {
  return ways.flatMap(({ methods }) => methods).find(({ credential }) => credential === 'certificate');
}

/** Whether the user has to type a name: a ticket before the password says who it is. */
export function asksForName({ methods }: LoginWay): boolean {
  const credentials = methods.map(({ credential }) => credential);
  return credentials.includes('password') && !credentials.includes('negotiate');
}
