/** Processes of a test: run to the end, or kept with their output and ended by pid. */
import { type ChildProcess, spawn } from 'node:child_process';

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ends it with SIGKILL after this time. Milliseconds. */
  readonly timeoutMs?: number;
}

/** Runs a command to its end, whatever its exit status; 128 + n stands for a signal. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { input = '', env = {}, timeoutMs = 60_000 } = options;
  return new Promise((resolve, reject) => {
    const [file = '', ...args] = command;
    const child = spawn(file, args, { env: { ...process.env, ...env } });
    const kill = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(kill);
      if (signal === 'SIGKILL') stderr += `\n(killed after ${timeoutMs} ms)`;
      resolve({ code: code ?? 128, stdout, stderr });
    });
    child.stdin.on('error', () => {
      // It ended without reading its input: its status tells.
    });
    child.stdin.end(input);
  });
}

/** Runs a command that must succeed; returns its standard output. */
export async function must(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, options);
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}:\n${stderr}${stdout}`);
  return stdout;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that runs beside the test. Its output is kept whole, standard output and error in order of arrival. */
export class Companion {
  readonly name: string;
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
  output = '';
  stdout = '';
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();

  constructor(name: string, command: readonly string[], options: Omit<RunOptions, 'timeoutMs'> = {}) {
    this.name = name;
    const [file = '', ...args] = command;
    this.#child = spawn(file, args, {
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      this.stdout += chunk;
      this.#arrived(chunk);
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => this.#arrived(chunk));
    this.exited = new Promise((resolve) => {
      const ended = (exit: Exit): void => {
        this.exit = exit;
        resolve(exit);
        for (const watcher of this.#watchers) watcher();
      };
      this.#child.on('error', (error) => {
        this.output += error.message;
        ended({ code: 127, signal: null });
      });
      // 'exit', not 'close': a child that it left behind may hold the pipes open.
      this.#child.on('exit', (code, signal) => setImmediate(() => ended({ code, signal })));
    });
    this.#child.stdin?.on('error', () => {
      // It ended without reading its input: its output tells.
    });
    this.#child.stdin?.end(options.input);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} did not start: ${this.output}`);
    return this.#child.pid;
  }

  #arrived(chunk: Buffer): void {
    this.output += chunk;
    for (const watcher of this.#watchers) watcher();
  }

  /**
   * Waits until `pattern` occurs in the output at or after `from` (an earlier output.length).
   * @throws Error with the end of the output when it ended or the time passed first
   */
  waitFor(pattern: RegExp, { timeoutMs = 30_000, from = 0 } = {}): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        settle();
      };
      const look = (): void => {
        const found = pattern.exec(this.output.slice(from));
        const { exit } = this;
        if (found) finish(() => resolve(found));
        else if (exit) finish(() => reject(this.#complaint(`ended (${describe(exit)}) before`, pattern)));
      };
      const timer = setTimeout(
        () => finish(() => reject(this.#complaint(`did not say within ${timeoutMs} ms:`, pattern))),
        timeoutMs,
      );
      this.#watchers.add(look);
      look();
    });
  }

  /** Waits for its end; fails after `timeoutMs`. */
  async ended(timeoutMs = 30_000): Promise<Exit> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(this.#complaint(`did not end within ${timeoutMs} ms`)), timeoutMs);
    });
    try {
      return await Promise.race([this.exited, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.exit) this.#child.kill(signal);
  }

  /** Ends it: `signal`, and SIGKILL if that is not enough. */
  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 5_000): Promise<Exit> {
    this.signal(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  #complaint(what: string, pattern?: RegExp): Error {
    const tail = this.output.split('\n').slice(-40).join('\n');
    return new Error(`${this.name} ${what} ${pattern ?? ''}\n--- its last lines:\n${tail}`);
  }
}

function describe({ code, signal }: Exit): string {
  return signal ?? `status ${code}`;
}
