/**
 * The stages in which a worker gives its rights up, once everything is loaded and before it meets a client. docs/permissions.md
 * shows them; what the last one still allows is in native/src/io/call_rules.cc. A stage that fails ends the process, and
 * main starts another.
 */
import { VpnError } from '../errors.js';
import type { NativeIo } from '../native/types.js';

export interface LockdownOptions {
  /** run-as-user and run-as-group; null: the process keeps its own, which must not be root's. */
  readonly uid: number | null;
  readonly gid: number | null;
  /** How many it may have at once. */
  readonly clients: number;
  /** isolate-workers: the stages that a kernel or a tool for debugging may stand in the way of. */
  readonly isolate: boolean;
}

interface Stage {
  readonly name: string;
  /** What is left, and why. */
  readonly why: string;
  readonly isolation: boolean;
  run(io: NativeIo, options: LockdownOptions): void;
}

/** Loops, channels, log and what OpenSSL and V8 hold. */
const OWN_DESCRIPTORS = 64;
/** TCP connection, tun device, UDP socket, and the UDP socket that takes over from it, twice for what is closing. */
const DESCRIPTORS_PER_CLIENT = 8;

export const lockdownStages: readonly Stage[] = [
  {
    name: 'limits',
    why: 'As many descriptors as its clients need, no core file (it would hold keys of tunnels), no message queues. Files have no limit of size: stderr may be one.',
    isolation: false,
    run: (io, { clients }) => io.limitResources(OWN_DESCRIPTORS + DESCRIPTORS_PER_CLIENT * clients),
  },
  {
    name: 'privileges',
    why: "run-as-user and run-as-group, no supplementary groups; no capability in any set, none through root's uid (securebits) and none through programs (no_new_privs); not dumpable, so others of the same user cannot read its memory.",
    isolation: false,
    run: (io, { uid, gid }) =>
      io.dropPrivileges({ ...(uid !== null && { uid }), ...(gid !== null && { gid }), lockdown: true }),
  },
  {
    name: 'Landlock',
    why: 'No file can be opened, executed or changed; no TCP connection made or awaited (Linux 6.7); no abstract unix socket and no signal outside (6.12). A worker needs none: its sockets and tun devices come over its channel.',
    isolation: true,
    run: (io) => io.denyFilesAndNetwork(),
  },
  {
    name: 'system calls',
    why: 'Only the calls of the table below; all others fail with EPERM.',
    isolation: true,
    run: (io) => io.filterWorkerCalls(),
  },
];

/** Runs the stages. Throws OCS_LOCKDOWN, after which the process must not serve anybody. */
export function lockDown(io: NativeIo, options: LockdownOptions): void {
  // The time zone's file is read when it is first asked for.
  new Date().getTimezoneOffset();
  for (const stage of lockdownStages) {
    if (stage.isolation && !options.isolate) continue;
    try {
      stage.run(io, options);
    } catch (error) {
      const reason = (error as Error).message;
      throw new VpnError('OCS_LOCKDOWN', { stage: stage.name, reason }, { cause: error });
    }
  }
}
