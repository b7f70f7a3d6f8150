/**
 * Which way a client logs in by. Way 0 is the methods of `auth`, all of them; way n is the nth of `enable-auth`
 * (reference protocol.md §1, §4.3, §4.6). secmod checks the way that is chosen here.
 */

/** What the client shows for a method. */
export type Credential = 'password' | 'certificate' | 'negotiate';

export interface LoginWay {
  /** `way` of SEC_AUTH_INIT. */
  readonly index: number;
  readonly needs: ReadonlySet<Credential>;
}

export interface MethodSettings {
  /** Names of methods, without their sub-options. */
  readonly auth: readonly string[];
  readonly 'enable-auth': readonly string[];
}

const CREDENTIALS: Readonly<Record<string, Credential>> = {
  certificate: 'certificate',
  gssapi: 'negotiate',
};
/** Any other method asks for a password. */
const credentialOf = (method: string): Credential => CREDENTIALS[method] ?? 'password';

/** The ways of a virtual host, by index. */
export function loginWays(settings: MethodSettings): LoginWay[] {
  const all = [settings.auth, ...settings['enable-auth'].map((method) => [method])];
  return all.map((methods, index) => ({ index, needs: new Set(methods.map(credentialOf)) }));
}

/** What a client can show now. */
export interface Abilities {
  /** A certificate that secmod has verified. */
  readonly certificate: boolean;
  /** Tokens of Negotiate: it said so, and they have not failed yet. */
  readonly negotiate: boolean;
}

/**
 * The way for a client: by certificate if it shows one, else by Negotiate if it can, else the first one that it can go.
 * null: none, it lacks the certificate (or the ticket) that all of them need.
 */
export function chooseWay(ways: readonly LoginWay[], client: Abilities): LoginWay | null {
  const open = ways.filter(
    ({ needs }) =>
      (client.certificate || !needs.has('certificate')) && (client.negotiate || !needs.has('negotiate')),
  );
  const preferred = open.find(({ needs }) => needs.has('certificate'));
  return preferred ?? open.find(({ needs }) => needs.has('negotiate')) ?? open[0] ?? null;
}

/** Whether nobody can log in without a certificate. */
export function certificateOnly(ways: readonly LoginWay[]): boolean {
  return ways.every(({ needs }) => needs.has('certificate'));
}

export interface CertificateSettings extends MethodSettings {
  readonly 'always-require-cert': boolean;
  readonly 'cisco-client-compat': boolean;
}

/**
 * Whether the TLS handshake asks for a certificate, and whether it fails without one: only where a certificate is the
 * single method of all. AnyConnect shows its certificate on its first connection only.
 */
export function certificateRequest(settings: CertificateSettings): 'none' | 'request' | 'require' {
  const ways = loginWays(settings);
  if (!ways.some(({ needs }) => needs.has('certificate'))) return 'none';
  if (settings['always-require-cert']) return 'require';
  const single = settings.auth.length === 1 && ways.length === 1;
  return single && !settings['cisco-client-compat'] ? 'require' : 'request';
}
