/**
 * Sockets that a service manager opened for us (sd_listen_fds(3)): descriptors from 3 on, LISTEN_FDS of them, for the
 * process LISTEN_PID, named in LISTEN_FDNAMES. TCP listeners and UDP sockets are told apart by what they are.
 */
import { VpnError } from '../errors.js';
import type { NativeIo } from '../native/types.js';

const FIRST_FD = 3;
const MAX_FDS = 64;

export interface PassedSocket {
  readonly fd: number;
  /** From LISTEN_FDNAMES; 'unknown' without. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

export interface PassedSockets {
  readonly tcp: readonly PassedSocket[];
  readonly udp: readonly PassedSocket[];
}

/**
 * Takes what was passed to this process; nothing when LISTEN_PID names another one. The variables are taken out of
 * `env`, so that no child mistakes its own descriptors for sockets.
 * @throws VpnError OCS_PASSED_SOCKET for a descriptor that is neither a TCP listener nor a UDP socket
 */
export function takePassedSockets(
  io: Pick<NativeIo, 'adoptSocket'>,
  env: NodeJS.ProcessEnv = process.env,
  pid = process.pid,
): PassedSockets {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  const sockets = { tcp: [] as PassedSocket[], udp: [] as PassedSocket[] };
  if (Number(LISTEN_PID) !== pid) return sockets;
  const count = Number(LISTEN_FDS);
  if (!Number.isInteger(count) || count < 0 || count > MAX_FDS) {
    throw new VpnError('OCS_PASSED_SOCKET', {
      fd: FIRST_FD,
      name: 'unknown',
      reason: `LISTEN_FDS is ${LISTEN_FDS}`,
    });
  }
  const names = LISTEN_FDNAMES.split(':');
  for (let index = 0; index < count; index++) {
    const name = names[index] || 'unknown';
    const fd = FIRST_FD + index;
    const { kind, local } = adopt(io, fd, name);
    sockets[kind].push({ fd, name, ...local });
  }
  return sockets;
}

function adopt(io: Pick<NativeIo, 'adoptSocket'>, fd: number, name: string) {
  let found: ReturnType<NativeIo['adoptSocket']>;
  try {
    found = io.adoptSocket(fd);
  } catch (error) {
    throw new VpnError('OCS_PASSED_SOCKET', { fd, name, reason: (error as Error).message }, { cause: error });
  }
  const { kind, local } = found;
  if (kind === 'other') {
    throw new VpnError('OCS_PASSED_SOCKET', { fd, name, reason: 'it is no listening TCP and no UDP socket' });
  }
  return { kind, local };
}
