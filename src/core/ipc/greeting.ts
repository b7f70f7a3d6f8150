/** The acceptor's first step: exactly one HELLO, in time, before the peer's role is known. */
import { decodeBody } from './codec.js';
import { type Frame, FrameReader } from './frame.js';
import type { Body } from './messages.js';
import { messageOf } from './registry.js';
import type { Transport } from './transport.js';
import { IpcViolation } from './violation.js';

/** A connection that has not said HELLO by then is closed, milliseconds. */
const HELLO_TIMEOUT_MS = 5000;

export interface Greeting extends Body<'HELLO'> {
  readonly correlation: number;
}

/** Calls `done` once: with the HELLO, or with an error after which the transport is closed. */
export function receiveHello(transport: Transport, done: (hello: Greeting | Error) => void): void {
  const message = messageOf('HELLO');
  let hello: Greeting | null = null;
  let finished = false;
  const reader = new FrameReader({
    onHeader(header) {
      if (hello || header.id !== message.spec.id || header.correlation === 0) {
        throw new IpcViolation(
          'hello',
          hello ? 'a message before HELLO_REP' : 'the first message is not HELLO',
        );
      }
      if (header.length > message.maxBytes) throw new IpcViolation('size', 'HELLO is too long');
      return { maxFds: 0 };
    },
    onFrame(frame: Frame) {
      const body = decodeBody(message.spec.body, frame.body, message.name) as Body<'HELLO'>;
      hello = { ...body, correlation: frame.correlation };
    },
    closeFd: (fd) => transport.closeFd(fd),
  });
  const finish = (result: Greeting | Error) => {
    if (finished) return;
    finished = true;
    clearTimeout(timer);
    if (result instanceof Error) {
      reader.destroy();
      transport.destroy();
    }
    done(result);
  };
  const timer = setTimeout(() => finish(new IpcViolation('hello', 'no HELLO in time')), HELLO_TIMEOUT_MS);
  timer.unref();
  transport.start({
    onData(data, fds) {
      try {
        reader.push(data, fds);
      } catch (error) {
        finish(error as Error);
        return;
      }
      if (hello) finish(hello);
    },
    onEnd: (error) => finish(error ?? new IpcViolation('hello', 'closed before HELLO')),
  });
}
