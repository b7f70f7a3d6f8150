/** `vpn auth test`: asks the questions of a login on the terminal and shows what came out. */
import { configFile } from '../config/find.js';
import { loadConfig } from '../config/load.js';
import { createLogger } from '../log.js';
import { native } from '../native/index.js';
import { loadAuthPlugins, pluginLists } from '../secmod/plugins.js';
import { readCertificateFile } from '../secmod/test-certificate.js';
import { type TestLoginResult, type TestLoginStep, testLogin } from '../secmod/test-login.js';
import { openAnswers } from '../users/read-password.js';

export interface AuthTestOptions {
  /** '' without. */
  readonly user: string;
  readonly vhost: string;
  readonly group: string;
  /** Files of a client's certificate and its key. */
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly config: string | undefined;
  readonly dataDir: string;
  /** As log-level of the configuration; the log goes to stderr. */
  readonly logLevel: number;
}

/** Throws errors of the catalogue. */
export async function runAuthTest(options: AuthTestOptions): Promise<TestLoginResult> {
  // No core file may hold what is typed.
  native.io.dropPrivileges({ lockdown: false, nonDumpable: true });
  const { certificate, key } = options;
  const chain = certificate === undefined ? null : readCertificateFile(certificate, key);
  const answers = openAnswers();
  try {
    return await testLogin({
      config: loadConfig({ file: configFile(options.config), dataDir: options.dataDir }),
      plugins: (await loadAuthPlugins(...pluginLists(options.dataDir))).auth,
      userName: options.user,
      vhost: options.vhost,
      groupName: options.group,
      certificate: chain,
      answer: (message, counter) => answers.next(promptText(message, counter)),
      log: createLogger('auth', options.logLevel),
    });
  } finally {
    answers.close();
  }
}

/** The result for people: a line per step, then the session. */
export function authTestText({ vhost, auth, steps, session }: TestLoginResult): string {
  const head = [`virtual host ${vhost}, auth = ${auth.join(', ')}`, ...steps.map(stepText)];
  if (!session) return head.join('\n');
  const { userName, groupName, config } = session;
  const settings = Object.entries(config).map(([name, value]) => `  ${name}: ${valueText(value)}`);
  return [...head, `user: ${userName}`, `group: ${groupName || '(none)'}`, 'session:', ...settings].join(
    '\n',
  );
}

function stepText({ step, message, counter, tookMs }: TestLoginStep, index: number): string {
  const said = step === 'certificate' ? 'shows a certificate' : step;
  const shown =
    step === 'prompt' ? `asks: ${promptText(message, counter)}` : [said, message].filter(Boolean).join(': ');
  return `${index + 1}. ${shown.replaceAll('\n', ' / ')} (${tookMs} ms)`;
}

function promptText(message: string, counter: number): string {
  return message || (counter === 0 ? 'Password:' : `Password ${counter + 1}:`);
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.length > 0 ? value.join(', ') : '-';
  return value === '' ? '-' : String(value);
}
