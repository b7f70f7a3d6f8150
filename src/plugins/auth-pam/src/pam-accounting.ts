/** `acct: pam`: the account of the user is checked when a session begins, and PAM has a session as long as it lasts. */
import type {
  AccountedSession,
  AccountingBackend,
  AccountingHost,
  AccountingPlugin,
  BackendOptions,
} from '../../../core/plugin-api/index.js';
import { sessionProgram } from './addon.js';
import { serviceOf, serviceOption } from './pam-backend.js';
import { SessionProcess } from './session-process.js';

export const pamAccountingPlugin: AccountingPlugin = {
  manifest: { name: 'pam', options: { service: serviceOption } },
  create: async (options, host) => createPamAccounting(options, host),
};

/** How long a module may take before it is cut off. Milliseconds. */
export interface PamLimits {
  readonly checkMs: number;
  readonly sessionMs: number;
}

const LIMITS: PamLimits = { checkMs: 8_000, sessionMs: 30_000 };

/** `confdir`: directory of service files in place of /etc/pam.d. Throws if the program is not there. */
export function createPamAccounting(
  options: BackendOptions,
  host: AccountingHost,
  confdir = '',
  limits = LIMITS,
): AccountingBackend {
  const service = serviceOf(options);
  const program = sessionProgram();
  const open = new Map<string, SessionProcess>();

  const run = (
    mode: 'check' | 'session',
    { userName, remoteIp }: AccountedSession,
    ms: number,
  ): SessionProcess => {
    const place = confdir === '' ? [] : [confdir];
    return new SessionProcess(program, [mode, service, userName, remoteIp, service, ...place], ms);
  };

  const admit = async (session: AccountedSession): Promise<boolean> => {
    const refusal = await run('check', session, limits.checkMs).answer;
    if (refusal !== '') host.log.info({ userName: session.userName, refusal }, 'PAM refuses the account');
    return refusal === '';
  };

  const begin = async (session: AccountedSession, process: SessionProcess): Promise<void> => {
    const { sessionId, userName } = session;
    const refusal = await process.answer;
    if (refusal === '' || open.get(sessionId) !== process) return;
    open.delete(sessionId);
    host.log.warn({ userName, session: sessionId, refusal }, 'PAM opens no session: it ends');
    await host.endSessions((other) => other.sessionId === sessionId);
  };

  return {
    admit,
    start(session) {
      const process = run('session', session, limits.sessionMs);
      open.set(session.sessionId, process);
      begin(session, process).catch((error: unknown) =>
        host.log.error({ err: error, session: session.sessionId }, 'a session was not ended'),
      );
    },
    // PAM knows no counts.
    interim() {},
    stop({ sessionId }) {
      void open.get(sessionId)?.end();
      open.delete(sessionId);
    },
    async close() {
      const processes = [...open.values()];
      open.clear();
      await Promise.all(processes.map((process) => process.end()));
    },
  };
}
