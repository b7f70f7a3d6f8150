/** Asks a running server over its control socket. */
import { connect } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { catalogue, type ErrorCode, type ErrorDetails, VpnError } from '../errors.js';
import type { EventData } from './results.js';
import { type PlainVerb, PROTOCOL_VERSION, type VerbArgs, type VerbResult } from './verbs.js';

/** A reload may take secmod 30 seconds. */
const TIMEOUT_MS = 35_000;

interface Reply {
  readonly v?: unknown;
  readonly ok?: unknown;
  readonly data?: unknown;
  readonly error?: { readonly code?: string; readonly details?: ErrorDetails; readonly message?: string };
}

/**
 * One verb, one answer. Throws OCS_CTL_UNREACHABLE or OCS_CTL_DENIED when the server cannot be asked, and whatever
 * error the server answers with.
 */
export async function callControl<N extends PlainVerb>(
  path: string,
  verb: N,
  args: VerbArgs<N>,
): Promise<VerbResult<N>> {
  const line = await exchange(path, `${JSON.stringify({ v: PROTOCOL_VERSION, verb, args })}\n`);
  return readReply(line) as VerbResult<N>;
}

/** The data of an answer. Throws the error that it carries. */
function readReply(line: string): unknown {
  let reply: Reply;
  try {
    reply = JSON.parse(line) as Reply;
  } catch (error) {
    throw new VpnError('OCS_CTL_REQUEST', { detail: 'the answer is not JSON' }, { cause: error });
  }
  if (reply.ok === true) return reply.data;
  const { code = '', details = {}, message = 'no reason given' } = reply.error ?? {};
  if (Object.hasOwn(catalogue, code)) throw new VpnError(code as ErrorCode, details);
  throw new VpnError('OCS_CTL_REQUEST', { detail: message });
}

/** Events as they come, until the server closes (OCS_CTL_UNREACHABLE), `enough`, or the caller stops asking. */
export async function* followEvents(path: string, enough?: AbortSignal): AsyncGenerator<EventData> {
  const socket = connect(path);
  let lines: Interface | null = null;
  const stop = (): void => (lines ? lines.close() : void socket.destroy(new Error('interrupted')));
  enough?.addEventListener('abort', stop, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', (error: NodeJS.ErrnoException) =>
        reject(unreachable(path, reasonOf(error), error)),
      );
    });
    socket.write(`${JSON.stringify({ v: PROTOCOL_VERSION, verb: 'events', args: {} })}\n`);
    lines = createInterface({ input: socket });
    for await (const line of lines) yield readReply(line) as EventData;
  } finally {
    enough?.removeEventListener('abort', stop);
    socket.destroy();
  }
  throw unreachable(path, 'it closed the connection');
}

function unreachable(path: string, reason: string, cause?: Error): VpnError {
  const denied = (cause as NodeJS.ErrnoException | undefined)?.code === 'EACCES';
  return new VpnError(denied ? 'OCS_CTL_DENIED' : 'OCS_CTL_UNREACHABLE', { path, reason }, { cause });
}

/** Sends a line and reads a line. */
function exchange(path: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const answer: string[] = [];
    const fail = (reason: string, cause?: Error): void => {
      socket.destroy();
      reject(unreachable(path, reason, cause));
    };
    socket.setEncoding('utf8').setTimeout(TIMEOUT_MS);
    socket.on('connect', () => socket.write(request));
    socket.on('data', (text: string) => {
      const end = text.indexOf('\n');
      answer.push(end < 0 ? text : text.slice(0, end));
      if (end < 0) return;
      socket.destroy();
      resolve(answer.join(''));
    });
    socket.on('timeout', () => fail(`no answer within ${TIMEOUT_MS / 1000} seconds`));
    socket.on('end', () => fail('it closed the connection'));
    socket.on('error', (error: NodeJS.ErrnoException) => fail(reasonOf(error), error));
  });
}

function reasonOf(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'there is no such socket';
  if (error.code === 'ECONNREFUSED') return 'the server has ended';
  return error.message;
}
