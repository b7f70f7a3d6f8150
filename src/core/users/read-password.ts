/** Reads passwords: unseen from a terminal, else lines of standard input. */
import { on } from 'node:events';
import { createInterface } from 'node:readline';
import type { ReadStream } from 'node:tty';
import { VpnError } from '../errors.js';

const NO_LINE = 'No password was given on standard input';

export interface Terminal {
  readonly input: NodeJS.ReadableStream & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>>;
  readonly output: NodeJS.WritableStream;
}

/** `fromStdin`: take one line even from a terminal, without a prompt. Throws OCS_PASSWORD. */
export async function readNewPassword(
  userName: string,
  fromStdin: boolean,
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Promise<string> {
  if (fromStdin || !input.isTTY) return readLine(input);
  const first = await askUnseen(`New password for ${userName}: `, input, output);
  const second = await askUnseen('Once more: ', input, output);
  if (first !== second) throw new VpnError('OCS_PASSWORD', { reason: 'The two passwords differ' });
  return first;
}

/** Answers to the prompts of a login, one after the other. */
export interface Answers {
  /** Throws OCS_PASSWORD when there is none. */
  next(prompt: string): Promise<string>;
  close(): void;
}

/** From a terminal unseen, else one line of standard input each. */
export function openAnswers(
  { input, output }: Terminal = { input: process.stdin, output: process.stderr },
): Answers {
  if (input.isTTY) return { next: (prompt) => askUnseen(`${prompt} `, input, output), close: () => {} };
  const reader = createInterface({ input, terminal: false });
  const lines = reader[Symbol.asyncIterator]();
  return {
    next: async (prompt) => {
      const { value, done } = await lines.next();
      const asked = prompt.replaceAll('\n', ' / ');
      if (done) throw new VpnError('OCS_PASSWORD', { reason: `${NO_LINE} for "${asked}"` });
      return value;
    },
    close: () => reader.close(),
  };
}

async function readLine(input: NodeJS.ReadableStream): Promise<string> {
  const lines = createInterface({ input, terminal: false });
  try {
    for await (const line of lines) return line;
  } finally {
    lines.close();
  }
  throw new VpnError('OCS_PASSWORD', { reason: NO_LINE });
}

/** One line of a terminal in raw mode, edited by backspace and Ctrl-U, ended by Enter; Ctrl-C and Ctrl-D give up. */
async function askUnseen(
  prompt: string,
  input: Terminal['input'],
  output: NodeJS.WritableStream,
): Promise<string> {
  // Before the prompt: what somebody types at once must not be shown.
  input.setRawMode?.(true);
  input.setEncoding('utf8');
  output.write(prompt);
  input.resume();
  try {
    let typed = '';
    for await (const key of keys(input)) {
      if (key === '\r' || key === '\n') return typed;
      if (key === '\u0003' || key === '\u0004') break;
      typed = edited(typed, key);
    }
    throw new VpnError('OCS_PASSWORD', { reason: 'No password was given' });
  } finally {
    input.setRawMode?.(false);
    input.pause();
    output.write('\n');
  }
}

/** The text after one more key. */
function edited(typed: string, key: string): string {
  if (key === '\u007f' || key === '\b') return [...typed].slice(0, -1).join('');
  return key === '\u0015' ? '' : typed + key;
}

/** Single keys, until the reader stops. */
async function* keys(input: NodeJS.ReadableStream): AsyncGenerator<string> {
  const chunks = on(input, 'data', { close: ['end', 'close'] });
  for await (const [chunk] of chunks) yield* String(chunk);
}
