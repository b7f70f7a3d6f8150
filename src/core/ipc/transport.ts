/** How long a frame may wait for another one to travel with, milliseconds. */
export const LATER_MS = 100;

/** What a channel needs of the stream below it: a unix socket, or memory in tests. */
export interface TransportEvents {
  /**
   * The receiver owns `fds`, and has `data` for the time of the call: it may overwrite it, and afterwards it is wiped.
   * `lostFds`: some could not be taken, since this process is out of descriptors.
   */
  onData(data: Buffer, fds: readonly number[], lostFds: boolean): void;
  /** The last call-back, once: the peer has closed, or `error` ended the stream. Not called after destroy(). */
  onEnd(error: Error | null): void;
}

export interface Transport {
  /** Starts the call-backs. */
  start(events: TransportEvents): void;
  /** Queues one frame and owns `fds` from here on. After the end the frame is dropped and `fds` are closed. */
  send(frame: Buffer, fds: readonly number[]): void;
  /** As send() with the next frame that is sent, or within LATER_MS if none is. */
  sendLater(frame: Buffer): void;
  /** Bytes that the peer has not taken yet. */
  readonly queuedBytes: number;
  /** Sends what is queued, then closes; no call-back runs any more. */
  close(): void;
  /** Closes at once. */
  destroy(): void;
  /** Closes a descriptor that was received. */
  closeFd(fd: number): void;
}
