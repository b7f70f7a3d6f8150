/**
 * The interactive shell of `vpn ctl`: the same phrases as on the command line, `?` and Tab for what can follow. When
 * its input is no terminal it runs the lines of that and ends.
 */
import { createInterface, type Interface } from 'node:readline';

export interface ShellOptions {
  /** Known phrases, e.g. `show users`, and what they do. */
  readonly phrases: ReadonlyMap<string, string>;
  /** Runs a phrase with its arguments. */
  readonly run: (phrase: string, args: readonly string[]) => Promise<void>;
}

const LEAVE = new Set(['exit', 'quit']);

export interface ParsedLine {
  readonly phrase: string;
  readonly args: readonly string[];
}

/** The longest phrase that the line starts with; null if there is none. Words are compared without case. */
export function parseLine(line: string, phrases: Iterable<string>): ParsedLine | null {
  const words = line.trim().split(/\s+/);
  let best: ParsedLine | null = null;
  for (const phrase of phrases) {
    const wanted = phrase.split(' ');
    const matches = wanted.every((word, index) => words[index]?.toLowerCase() === word);
    if (matches && wanted.length > (best?.phrase.split(' ').length ?? 0)) {
      best = { phrase, args: words.slice(wanted.length) };
    }
  }
  return best;
}

/** Phrases that may follow what has been typed. */
export function completions(line: string, phrases: Iterable<string>): string[] {
  const typed = line.trimStart().replaceAll(/\s+/g, ' ').toLowerCase();
  return [...phrases].filter((phrase) => phrase.startsWith(typed)).sort();
}

export async function runShell({ phrases, run }: ShellOptions): Promise<void> {
  const known = [...phrases.keys()];
  const reader = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: process.stdin.isTTY === true,
    prompt: process.stdin.isTTY ? 'vpn> ' : '',
    completer: (line: string) => [
      completions(line, [...known, ...LEAVE]).map((phrase) => `${phrase} `),
      line,
    ],
  });
  // A line that is being typed is given up; a command that runs sees to it itself.
  reader.on('SIGINT', () => {
    process.stdout.write('^C\n');
    reader.write(null, { ctrl: true, name: 'e' });
    reader.write(null, { ctrl: true, name: 'u' });
    reader.prompt();
  });
  // Lines may be left when the input has ended; then nobody waits for a prompt, and readline throws.
  let ended = false;
  reader.on('close', () => {
    ended = true;
  });
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  reader.prompt();
  for await (const line of reader) {
    const text = line.trim();
    if (LEAVE.has(text)) break;
    if (text.endsWith('?') || text === 'help') help(text === 'help' ? '' : text.slice(0, -1), phrases);
    else if (text !== '') {
      const parsed = parseLine(text, known);
      if (parsed) await withTerminal(reader, () => run(parsed.phrase, parsed.args));
      else process.stderr.write(`unknown command: ${text}; "?" lists what there is\n`);
    }
    if (!ended) reader.prompt();
  }
  process.removeListener('SIGINT', ignore);
  reader.close();
}

/** While a command runs the terminal is its own: a pager reads its keys, and Ctrl-C is a signal. */
async function withTerminal(reader: Interface, task: () => Promise<void>): Promise<void> {
  if (!process.stdin.isTTY) return task();
  reader.pause();
  process.stdin.setRawMode(false);
  try {
    await task();
  } finally {
    process.stdin.setRawMode(true);
    reader.resume();
  }
}

function help(prefix: string, phrases: ReadonlyMap<string, string>): void {
  const found = completions(prefix, phrases.keys());
  const width = Math.max(0, ...found.map((phrase) => phrase.length));
  for (const phrase of found)
    process.stdout.write(`  ${phrase.padEnd(width)}  ${phrases.get(phrase) ?? ''}\n`);
}
