/** NativeIo.receiveMessage for callers that want what came in a buffer of its own. */
import { LOST_FDS, type NativeIo } from './types.js';

interface Received {
  /** Empty: the end of the stream. */
  readonly data: Buffer;
  readonly fds: readonly number[];
  /** More descriptors came than this process could take; they are closed. */
  readonly lostFds: boolean;
}

/** One recvmsg of at most `max` bytes; null when nothing is there. Throws the system's error. */
export function receiveFrom(io: Pick<NativeIo, 'receiveMessage'>, fd: number, max: number): Received | null {
  const room = Buffer.alloc(max);
  const received: number[] = [];
  const size = io.receiveMessage(fd, room, received);
  if (size < 0) return null;
  const fds = received.filter((number) => number !== LOST_FDS);
  return { data: room.subarray(0, size), fds, lostFds: fds.length < received.length };
}
