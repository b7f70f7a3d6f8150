/**
 * An attacker inside a worker: `node --import` loads this into `vpn worker` before its own code. When the worker has been
 * locked down, it tries what somebody would who runs code there, native code too, and prints one line
 * `takeover {name: result}` with errno values; 0 or more is a success. OCVPN_TAKEOVER is a JSON `TakeoverPlan`.
 */

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { NativeIo } from '../../src/core/native/types.ts';

export interface TakeoverPlan {
  /** Compiled raw-syscall.cc. */
  readonly library: string;
  readonly addon: string;
  /** Another worker, main and secmod. */
  readonly victims: readonly number[];
  /** Of the run directory. */
  readonly secrets: readonly string[];
  /** Names of attempts; null: all. Some are harmless only where they fail. */
  readonly only: readonly string[] | null;
}

type Call = (inOldThread: boolean, number: number, ...args: (number | string | Buffer)[]) => number;

const plan = JSON.parse(process.env.OCVPN_TAKEOVER ?? '') as TakeoverPlan;
const require = createRequire(import.meta.url);
const { call } = require(plan.library) as { call: Call };
const { io } = require(plan.addon) as { io: NativeIo };
// The thread must be there before the lock-down.
call(true, 39);

/** Numbers of x86_64 (<asm/unistd_64.h>). */
const nr = {
  open: 2,
  stat: 4,
  mmap: 9,
  getpid: 39,
  socket: 41,
  connect: 42,
  bind: 49,
  listen: 50,
  clone: 56,
  fork: 57,
  execve: 59,
  kill: 62,
  rename: 82,
  mkdir: 83,
  unlink: 87,
  chmod: 90,
  ptrace: 101,
  setuid: 105,
  setgid: 106,
  capset: 126,
  mknod: 133,
  personality: 135,
  prctl: 157,
  chroot: 161,
  mount: 165,
  umount2: 166,
  reboot: 169,
  init_module: 175,
  tkill: 200,
  tgkill: 234,
  mq_open: 240,
  keyctl: 250,
  add_key: 248,
  openat: 257,
  unshare: 272,
  perf_event_open: 298,
  prlimit64: 302,
  setns: 308,
  process_vm_readv: 310,
  memfd_create: 319,
  bpf: 321,
  execveat: 322,
  userfaultfd: 323,
  pidfd_send_signal: 424,
  io_uring_setup: 425,
  pidfd_open: 434,
  clone3: 435,
  openat2: 437,
  pidfd_getfd: 438,
} as const;

const AT_FDCWD = -100;
const O_CREAT_WRONLY = 0o101;
const zeros = Buffer.alloc(4096);

type Attempt = (inOldThread: boolean) => number;

function attempts(): Record<string, Attempt> {
  const all: Record<string, Attempt> = {};
  const add = (name: string, number: number, ...args: (number | string | Buffer)[]) => {
    all[name] = (inOldThread) => call(inOldThread, number, ...args);
  };
  for (const path of [
    '/etc/passwd',
    '/proc/self/environ',
    '/proc/self/mem',
    '/dev/net/tun',
    ...plan.secrets,
  ]) {
    add(`open ${path}`, nr.open, path, 0);
    add(`openat ${path}`, nr.openat, AT_FDCWD, path, 0);
  }
  add('openat2', nr.openat2, AT_FDCWD, '/etc/passwd', zeros, 24);
  add('create a file', nr.openat, AT_FDCWD, '/tmp/ocvpn-takeover', O_CREAT_WRONLY, 0o600);
  add('stat', nr.stat, '/etc/passwd', zeros);
  add('mkdir', nr.mkdir, '/tmp/ocvpn-takeover', 0o700);
  add('unlink', nr.unlink, plan.secrets[0] ?? '');
  add('rename', nr.rename, plan.secrets[0] ?? '', '/tmp/ocvpn-takeover');
  add('mknod', nr.mknod, '/tmp/ocvpn-takeover', 0o10600, 0);
  add('chmod', nr.chmod, plan.secrets[0] ?? '', 0o777);
  add('execve', nr.execve, '/bin/true', zeros, zeros);
  add('execveat', nr.execveat, AT_FDCWD, '/bin/true', zeros, zeros, 0);
  add('memfd_create', nr.memfd_create, 'code', 0);
  for (const [name, family, kind] of [
    ['TCP', 2, 1],
    ['UDP', 2, 2],
    ['TCP over IPv6', 10, 1],
    ['raw', 2, 3],
    ['netlink', 16, 3],
    ['packet', 17, 3],
    ['vsock', 40, 1],
  ] as const)
    add(`socket ${name}`, nr.socket, family, kind, 0);
  for (const pid of plan.victims) {
    add(`kill ${pid}`, nr.kill, pid, 0);
    add(`tkill ${pid}`, nr.tkill, pid, 0);
    add(`tgkill ${pid}`, nr.tgkill, pid, pid, 0);
    // Workers hold their session's process by one: it can be had, but must reach nobody else.
    all[`pidfd_send_signal ${pid}`] = (inOldThread) => {
      const fd = call(inOldThread, nr.pidfd_open, pid, 0);
      return fd < 0 ? fd : call(inOldThread, nr.pidfd_send_signal, fd, 0, 0, 0);
    };
    add(`ptrace ${pid}`, nr.ptrace, 0x4206, pid, 0, 0);
    add(`process_vm_readv ${pid}`, nr.process_vm_readv, pid, zeros, 1, zeros, 1, 0);
    add(`open memory of ${pid}`, nr.open, `/proc/${pid}/mem`, 0);
    add(`open descriptors of ${pid}`, nr.open, `/proc/${pid}/fd`, 0o200000);
    add(`prlimit of ${pid}`, nr.prlimit64, pid, 7, 0, zeros);
  }
  add('kill all', nr.kill, -1, 0);
  add('pidfd_getfd', nr.pidfd_getfd, 3, 0, 0);
  add('setuid', nr.setuid, 0);
  add('setgid', nr.setgid, 0);
  add('capset', nr.capset, zeros, zeros);
  add('dumpable again', nr.prctl, 4, 1, 0, 0, 0);
  add('more descriptors', nr.prlimit64, 0, 7, Buffer.from(new BigUint64Array([99_999n, 99_999n]).buffer), 0);
  add('personality', nr.personality, 0);
  add('chroot', nr.chroot, '/');
  add('mount', nr.mount, 'none', '/tmp', 'tmpfs', 0, 0);
  add('umount2', nr.umount2, '/tmp', 0);
  add('reboot', nr.reboot, 0, 0, 0, 0);
  add('init_module', nr.init_module, zeros, 0, '');
  add('mq_open', nr.mq_open, 'ocvpn', O_CREAT_WRONLY, 0o600, 0);
  add('keyctl', nr.keyctl, 0, -3, 0);
  add('add_key', nr.add_key, 'user', 'ocvpn', zeros, 1, -3);
  add('user namespace', nr.unshare, 0x1000_0000);
  add('clone into a user namespace', nr.clone, 0x1000_0011, 0, 0, 0, 0);
  add('clone3', nr.clone3, zeros, 64);
  add('setns', nr.setns, 3, 0);
  add('perf_event_open', nr.perf_event_open, zeros, 0, -1, -1, 0);
  add('bpf', nr.bpf, 0, zeros, 64);
  add('userfaultfd', nr.userfaultfd, 1);
  add('io_uring_setup', nr.io_uring_setup, 8, zeros);
  return all;
}

/** What JavaScript alone can do. */
const scripts: Record<string, () => unknown> = {
  'fs: read': () => readFileSync('/etc/passwd'),
  'fs: list': () => readdirSync('/'),
  'fs: write': () => writeFileSync('/tmp/ocvpn-takeover', ''),
  'fs: link': () => symlinkSync('/', '/tmp/ocvpn-takeover'),
  'child_process: spawn': () => {
    const { error, pid } = spawnSync('/bin/true');
    if (error) throw error;
    return pid;
  },
  'process: kill': () => process.kill(plan.victims[0] ?? 0, 0),
};

function errnoOf(script: () => unknown): number {
  try {
    script();
    return 0;
  } catch (error) {
    return (error as NodeJS.ErrnoException).errno ?? 1;
  }
}

/** A client's connection taken elsewhere: its socket is let go of and connected anew. */
function redirectSockets(): Record<string, number> {
  const found: Record<string, number> = {};
  const discard = Buffer.alloc(16);
  discard.writeUInt16LE(2, 0);
  discard.writeUInt16BE(4443, 2);
  discard.set([127, 0, 0, 1], 4);
  for (let fd = 3; fd < 64; fd++) {
    try {
      if (io.socketAddresses(fd).remote.port === 0) continue;
    } catch {
      continue;
    }
    found[`connect descriptor ${fd} elsewhere`] = call(false, nr.connect, fd, discard, discard.length);
    found[`bind descriptor ${fd}`] = call(false, nr.bind, fd, discard, discard.length);
    found[`listen on descriptor ${fd}`] = call(false, nr.listen, fd, 1);
  }
  return found;
}

function attack(): void {
  const results: Record<string, number> = {
    getpid: call(false, nr.getpid),
    'getpid (old thread)': call(true, nr.getpid),
  };
  const wanted = (name: string) => plan.only === null || plan.only.includes(name);
  for (const [name, attempt] of Object.entries(attempts())) {
    if (!wanted(name)) continue;
    results[name] = attempt(false);
    results[`${name} (old thread)`] = attempt(true);
  }
  for (const [name, script] of Object.entries(scripts)) if (wanted(name)) results[name] = errnoOf(script);
  if (plan.only === null) Object.assign(results, redirectSockets());
  process.stdout.write(`takeover ${JSON.stringify(results)}\n`);
}

// The worker's last stage of lock-down, or with isolate-workers off the one before it.
const { dropPrivileges, filterWorkerCalls } = io;
let isolated = false;
Object.assign(io, {
  dropPrivileges(...args: Parameters<NativeIo['dropPrivileges']>) {
    dropPrivileges(...args);
    setImmediate(() => {
      if (!isolated) attack();
    });
  },
  filterWorkerCalls() {
    filterWorkerCalls();
    isolated = true;
    attack();
  },
});
