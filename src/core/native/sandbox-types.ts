/** How a process gives rights up: the part of the addon's contract (types.ts) that is called once in its life. */

export interface PrivilegeDrop {
  uid?: number;
  gid?: number;
  /** PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE 0, empty capability sets and supplementary groups. */
  lockdown: boolean;
  /** PR_SET_DUMPABLE 0 alone, for a process that keeps its user: no core file, no ptrace by others. */
  nonDumpable?: boolean;
  /** The change of uid takes no capability: keepCapabilities() is called next. */
  keepsCapabilities?: boolean;
  /** Signal number delivered when the parent dies (PR_SET_PDEATHSIG), 0 for none. */
  parentDeathSignal?: number;
}

/** A group of system calls under one rule, as documented in docs/security.md. */
export interface CallRule {
  rule: string;
  what: string;
  why: string;
  calls: string[];
}
