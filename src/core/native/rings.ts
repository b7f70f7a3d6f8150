/**
 * Roles without io_uring. A ring that is set up makes system calls past every seccomp filter, and libuv opens one for each
 * of its loops when Node starts, before any JavaScript. So the ban must come from the process before: main forbids
 * rings to its children; a role that somebody else started executes itself anew.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { native } from './index.js';

const FOLDER = '/proc/self/fd';
/** A thread that listens for SIGUSR1 blocks all other signals; without it every thread can be restricted. */
export const NODE_FLAGS = ['--disable-sigusr1'] as const;

/** Returns at once when there is no ring; otherwise the same program starts again, in this process, without. */
export function leaveRings(keepFd: number | null = null): void {
  if (!hasRing()) return;
  forbidRings();
  if (keepFd !== null) native.io.keepOnExec(keepFd);
  const [, ...args] = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1);
  const flags = NODE_FLAGS.filter((flag) => !args.includes(flag));
  process.execve?.(process.execPath, [process.execPath, ...flags, ...args], process.env);
}

/** Programs that root starts may still change users (PAM) wherever the kernel lets it forbid rings without ending that. */
function forbidRings(): void {
  const isRoot = process.getuid?.() === 0;
  try {
    native.io.forbidRings(isRoot);
  } catch (error) {
    // A container's root without CAP_SYS_ADMIN.
    if (!isRoot || (error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    native.io.forbidRings(false);
  }
}

function hasRing(): boolean {
  return readdirSync(FOLDER).some((fd) => {
    try {
      return readlinkSync(`${FOLDER}/${fd}`) === 'anon_inode:[io_uring]';
    } catch {
      // The descriptor of the folder itself is closed by now.
      return false;
    }
  });
}
