/**
 * What a session has outside the server: its firewall table, the routes to networks behind its client, its place in utmp,
 * and the administrator's scripts. Everything of one device is done in order, so that the end of a session can never
 * undo what the next session on a device of the same name has set up.
 */
import type { VhostConfig } from '../config/schema.js';
import type { Logger } from '../log.js';
import { type Client, idsOf, type Session } from './clients.js';
import { installFirewall, isRestricted, removeFirewall, removeStaleFirewalls } from './firewall.js';
import { formatNetwork, netmaskOf, parseNetwork } from './ip.js';
import type { LoginRecords } from './login-records.js';
import { runScript } from './script.js';
import { type ScriptReason, type SessionTotals, scriptEnv } from './script-env.js';

type Settings = Pick<
  VhostConfig,
  | 'connect-script'
  | 'disconnect-script'
  | 'host-update-script'
  | 'script-timeout'
  | 'route-add-cmd'
  | 'route-del-cmd'
  | 'device'
>;

export interface SessionHooksOptions {
  /** The options in force now. */
  readonly settings: () => Settings;
  readonly log: Logger;
  readonly logins: Pick<LoginRecords, 'begins' | 'ends' | 'idle'>;
  /** Script that takes the place of our own firewall (OCSERV_FW_SCRIPT), '' for none. */
  readonly firewallScript: string;
}

export class SessionHooks {
  readonly #options: SessionHooksOptions;
  /** Device → the last thing that was begun for it. */
  readonly #queues = new Map<string, Promise<unknown>>();

  constructor(options: SessionHooksOptions) {
    this.#options = options;
  }

  /** Removes what a killed server left. Never rejects. */
  async start(): Promise<void> {
    const { settings, log } = this.#options;
    try {
      const stale = await removeStaleFirewalls(settings().device);
      if (stale.length > 0) log.info({ tables: stale }, 'removed firewall tables of an earlier server');
    } catch (error) {
      // Without nft there are no tables; a session that needs one is refused with nft's words.
      log.debug({ err: error }, 'firewall tables cannot be listed');
    }
  }

  /** True when opening a session needs no wait at all. */
  isIdle(session: Session): boolean {
    const { config, tunName } = session;
    return (
      this.#options.settings()['connect-script'] === '' &&
      config.iroutes.length === 0 &&
      !isRestricted(config) &&
      !this.#queues.has(tunName)
    );
  }

  /** Before the client gets its answer. Null, or why the session must be refused; nothing is left then. */
  opened(client: Client, session: Session): Promise<string | null> {
    return this.#inOrder(session.tunName, async () => {
      const reason = await this.#setUp(client, session);
      if (reason !== null) await this.#tearDown(session);
      return reason;
    });
  }

  /** SESSION_INFO came, and the process of the session is known: runs host-update-script if the client told its name. */
  reported(client: Client, session: Session): void {
    this.#options.logins.begins(client, session);
    const command = this.#options.settings()['host-update-script'];
    if (session.hostname === '' || command === '') return;
    void this.#inOrder(session.tunName, () => this.#script('host-update', command, client, session));
  }

  /** After the device is closed; nobody waits for it. `totals` may come late. */
  closed(client: Client, session: Session, totals: Promise<SessionTotals>): void {
    this.#options.logins.ends(client, session);
    void this.#inOrder(session.tunName, async () => {
      await this.#tearDown(session);
      const command = this.#commandFor(session, 'disconnect-script');
      if (command !== '') await this.#script('disconnect', command, client, session, await totals);
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await Promise.all([...this.#queues.values(), this.#options.logins.idle()]);
  }

  async #setUp(client: Client, session: Session): Promise<string | null> {
    const { log, firewallScript } = this.#options;
    try {
      if (isRestricted(session.config) && firewallScript === '')
        await installFirewall(session.tunName, session.config);
    } catch (error) {
      log.error({ ...idsOf(client), device: session.tunName, err: error }, 'firewall rules not installed');
      return 'its restrictions cannot be enforced';
    }
    for (const route of session.config.iroutes) {
      const problem = await this.#route('route-add-cmd', route, session);
      if (problem !== null) log.warn({ ...idsOf(client), route, detail: problem }, 'iroute not added');
    }
    const command = this.#commandFor(session, 'connect-script');
    return command === '' ? null : this.#script('connect', command, client, session);
  }

  async #tearDown(session: Session): Promise<void> {
    const { log, settings, firewallScript } = this.#options;
    if (settings()['route-del-cmd'] !== '') {
      for (const route of session.config.iroutes) {
        const problem = await this.#route('route-del-cmd', route, session);
        // Most often it went with the device.
        if (problem !== null)
          log.debug({ session: session.safeId, route, detail: problem }, 'iroute not removed');
      }
    }
    if (!isRestricted(session.config) || firewallScript !== '') return;
    try {
      await removeFirewall(session.tunName);
    } catch (error) {
      log.error(
        { session: session.safeId, device: session.tunName, err: error },
        'firewall table not removed',
      );
    }
  }

  /** The firewall script takes the place of the configured one and runs that itself. */
  #commandFor({ config }: Session, option: 'connect-script' | 'disconnect-script'): string {
    const { settings, firewallScript } = this.#options;
    return firewallScript !== '' && isRestricted(config) ? firewallScript : settings()[option];
  }

  async #script(
    reason: ScriptReason,
    command: string,
    client: Client,
    session: Session,
    totals: SessionTotals | null = null,
  ): Promise<string | null> {
    const { settings, log, firewallScript } = this.#options;
    const next = reason === 'connect' ? settings()['connect-script'] : settings()['disconnect-script'];
    const env = {
      ...scriptEnv(reason, client, session, totals),
      ...(command === firewallScript && next !== '' && { OCSERV_NEXT_SCRIPT: next }),
    };
    const problem = await runScript({ command, env, timeoutMs: settings()['script-timeout'] * 1000 });
    const about = {
      client: client.id,
      session: session.safeId,
      user: session.userName,
      device: session.tunName,
    };
    if (problem === null) log.debug({ ...about, script: command }, `${reason} script done`);
    else log.warn({ ...about, detail: problem }, `${reason} script failed`);
    return problem && `the ${reason} script refused it: ${problem}`;
  }

  /** Adds or removes the route to a network behind the client. Null, or what went wrong. */
  #route(option: 'route-add-cmd' | 'route-del-cmd', text: string, session: Session): Promise<string | null> {
    const { settings } = this.#options;
    const network = parseNetwork(text);
    const cidr = formatNetwork(network);
    const template = settings()[option];
    const timeoutMs = settings()['script-timeout'] * 1000;
    if (template === '') {
      const args = [`-${network.family}`, 'route', 'replace', cidr, 'dev', session.tunName];
      return runScript({ command: 'ip', args, env: {}, timeoutMs });
    }
    const [base = ''] = cidr.split('/');
    const values: Record<string, string> = {
      R: network.family === 4 ? `${base}/${netmaskOf(network.prefix)}` : cidr,
      RI: cidr,
      D: session.tunName,
    };
    const line = template.replaceAll(/%\{(RI|R|D)\}/g, (_, name: string) => values[name] ?? '');
    return runScript({ command: '/bin/sh', args: ['-c', line], env: {}, timeoutMs });
  }

  #inOrder<T>(device: string, task: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(device) ?? Promise.resolve();
    const done = before.then(task, task);
    const settled: Promise<unknown> = done
      .catch((error: unknown) => this.#options.log.error({ device, err: error }, 'session hook failed'))
      .finally(() => {
        if (this.#queues.get(device) === settled) this.#queues.delete(device);
      });
    this.#queues.set(device, settled);
    return done;
  }
}
