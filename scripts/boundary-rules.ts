/**
 * Who may import whom, as rules of dependency-cruiser. "Reaches" means through any number of imports, so a role's
 * process never holds code that it has no right to run. Only imports that exist at run time count; `import type` does not.
 */
import type {
  IForbiddenRuleType,
  IReachabilityForbiddenRuleType,
  IRegularForbiddenRuleType,
} from 'dependency-cruiser';

/** Code that holds or checks secrets: keys, password files, back ends. */
const SECRETS = '^src/(plugins/|core/(secmod|passwd|pki|plugin-api)/)|^src/core/[^/]+/(ocpasswd|private-key)';
/** Anything that talks to the world outside the process. */
const IO =
  '^(node:)?(net|tls|dgram|http|https|http2|fs|fs/promises|child_process|cluster|worker_threads|dns|dns/promises)$|^src/core/native/|\\.node$';
/** The two parsers of client data that main may hold. */
const MAIN_PARSERS = '^src/core/wire/(proxy-protocol|dtls-hello)\\.ts$';
const LEAVES = '^src/core/(errors|log)\\.ts$|^src/core/util/';

const reaches = (
  name: string,
  comment: string,
  from: string,
  to: { path: string; pathNot?: string },
): IReachabilityForbiddenRuleType => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { ...to, reachable: true },
});
const imports = (
  name: string,
  comment: string,
  from: IRegularForbiddenRuleType['from'],
  to: IRegularForbiddenRuleType['to'],
): IRegularForbiddenRuleType => ({ name, comment, severity: 'error', from, to });

/** Folders that rules start from: each must hold a module, or its rules would hold for want of anything to check. */
export const guardedFolders = [
  'src/core/main/',
  'src/core/secmod/',
  'src/core/worker/',
  'src/core/wire/',
  'src/core/session/',
  'src/core/ipc/',
];

export const forbidden: IForbiddenRuleType[] = [
  imports(
    'no-cycles',
    'Modules that import each other cannot be read or tested alone.',
    {},
    { circular: true },
  ),
  imports('resolvable', 'An import that leads nowhere.', { path: '^src/' }, { couldNotResolve: true }),
  imports(
    'no-development-packages',
    'The server may use only what is installed with it.',
    { path: '^src/' },
    { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'npm-optional'] },
  ),
  reaches(
    'worker-holds-no-secrets',
    'The worker talks to the network: no key, password or back-end code in it.',
    '^src/core/worker/',
    { path: SECRETS },
  ),
  reaches('worker-is-not-main', 'The worker has no code of main.', '^src/core/worker/', {
    path: '^src/core/main/',
  }),
  reaches(
    'main-holds-no-back-ends',
    'main loads no authentication plugin and no code of the other roles.',
    '^src/core/main/',
    { path: '^src/(plugins|core/(secmod|worker|session))/' },
  ),
  reaches(
    'main-parses-no-client-data',
    'main reads the PROXY header and the session id of a DTLS hello, nothing else that a client sent.',
    '^src/core/main/',
    { path: '^src/core/wire/', pathNot: MAIN_PARSERS },
  ),
  reaches('secmod-serves-no-client', 'secmod never meets client bytes.', '^src/core/secmod/', {
    path: '^src/core/(main|worker|wire|session)/',
  }),
  reaches('wire-is-pure', 'Bytes in, bytes out.', '^src/core/wire/', { path: IO }),
  reaches('session-is-pure', 'No I/O; the clock is injected.', '^src/core/session/', { path: IO }),
  reaches('ipc-knows-no-role', 'The roles import ipc, not the reverse.', '^src/core/ipc/', {
    path: '^src/(plugins|commands)/|^src/core/(main|secmod|worker|session|wire)/',
  }),
  reaches('config-knows-no-role', 'The roles import config, not the reverse.', '^src/core/config/', {
    path: '^src/(plugins|commands)/|^src/core/(main|secmod|worker|session|wire)/',
  }),
  imports(
    'leaves-are-leaves',
    'errors, log and util import nothing of the project but each other.',
    { path: LEAVES },
    { path: '^src/', pathNot: LEAVES },
  ),
  imports(
    'plugins-use-the-published-interface',
    'A plugin imports plugin-api, leaves and its own files.',
    { path: '^src/plugins/([^/]+)/' },
    { path: '^src/', pathNot: `^src/plugins/$1/|^src/core/plugin-api/|${LEAVES}` },
  ),
  imports(
    'core-knows-no-command',
    'Commands are a thin layer above core.',
    { path: '^src/core/' },
    { path: '^src/commands/' },
  ),
];
