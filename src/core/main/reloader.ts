/**
 * Reload: the configuration is read and checked here, then secmod reads it with its keys; only when both have
 * accepted it does anything change. Sessions are not touched: what they were opened with stays theirs.
 */
import { statSync } from 'node:fs';
import { needsRestart, reloaded } from '../config/reload.js';
import type { ServerConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import type { RunningConfig } from './running-config.js';

const WATCH_INTERVAL_MS = 2000;

export interface ReloaderOptions {
  readonly running: RunningConfig;
  /** Reads the configuration file anew. Throws errors of the catalogue. */
  readonly read: () => ServerConfig;
  readonly secmod: { reload(keysOnly: boolean): Promise<void> };
  /** The running configuration, or only its keys, has changed: tells everybody who keeps something of it. */
  readonly apply: () => Promise<void>;
  readonly notice: (error: VpnError) => void;
  readonly log: Logger;
}

export interface ReloadResult {
  /** Changed options that keep their old values, `[vhost NAME] option` for a named virtual host. */
  readonly needRestart: string[];
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #last: Promise<unknown> = Promise.resolve();
  #keyFiles = '';
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ReloaderOptions) {
    this.#options = options;
  }

  /** Reads everything again; one at a time. Rejects with OCS_RELOAD, and nothing has changed then. */
  reload(): Promise<ReloadResult> {
    return this.#inOrder(() => this.#reload());
  }

  /** Begins to watch the files of certificates and keys. */
  watchKeys(): void {
    this.#keyFiles = this.#fingerprint();
    this.#timer = setInterval(() => void this.#checkKeys(), WATCH_INTERVAL_MS).unref();
  }

  stop(): void {
    if (this.#timer) clearInterval(this.#timer);
  }

  async #reload(): Promise<ReloadResult> {
    const { running, read, secmod, apply, notice, log } = this.#options;
    try {
      const fresh = read();
      const needRestart = fixedChanges(running.current, fresh);
      await secmod.reload(false);
      running.replace(reloaded(running.current, fresh));
      this.#keyFiles = this.#fingerprint();
      await apply();
      log.info({ file: fresh.source, needRestart }, 'configuration reloaded');
      if (needRestart.length > 0)
        notice(new VpnError('OCS_RELOAD_FIXED', { options: needRestart.join(', ') }));
      return { needRestart };
    } catch (error) {
      const failure = asReloadError(error);
      log.error({ code: failure.code, err: error }, failure.message);
      throw failure;
    }
  }

  async #checkKeys(): Promise<void> {
    const now = this.#fingerprint();
    if (now === this.#keyFiles) return;
    this.#keyFiles = now;
    const { running, secmod, apply, log } = this.#options;
    try {
      await this.#inOrder(async () => {
        await secmod.reload(true);
        running.filesChanged();
        await apply();
      });
      log.info('certificates and keys changed on disk; new connections use them');
    } catch (error) {
      // Perhaps only one of certificate and key is written yet: the next change is tried again.
      log.warn({ err: error }, 'changed certificates or keys are not used');
    }
  }

  /** Size and time of each file of a certificate, key or list. */
  #fingerprint(): string {
    const { current } = this.#options.running;
    const files = [current.default, ...current.vhosts.values()].flatMap((vhost) => [
      ...vhost['server-cert'],
      ...vhost['server-key'],
      ...[vhost['ca-cert'], vhost.crl, vhost['ocsp-response']].filter(Boolean),
    ]);
    const describe = (path: string): string => {
      const found = statSync(path, { throwIfNoEntry: false });
      return found ? `${path} ${found.ino} ${found.size} ${found.mtimeMs}` : path;
    };
    return [...new Set(files)].map(describe).join('\n');
  }

  #inOrder<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#last.then(task, task);
    this.#last = done.catch(() => {
      // The caller of this one knows; the next one starts afresh.
    });
    return done;
  }
}

function fixedChanges(running: ServerConfig, fresh: ServerConfig): string[] {
  const changes: string[] = needsRestart(running.default, fresh.default);
  for (const [name, vhost] of fresh.vhosts) {
    const old = running.vhosts.get(name);
    if (old) changes.push(...needsRestart(old, vhost).map((option) => `[vhost ${name}] ${option}`));
  }
  return changes;
}

function asReloadError(error: unknown): VpnError {
  if (error instanceof VpnError && error.code === 'OCS_RELOAD') return error;
  // This error has a remedy of its own.
  const detail = error instanceof VpnError ? error.say : (error as Error).message;
  return new VpnError('OCS_RELOAD', { detail }, { cause: error });
}
