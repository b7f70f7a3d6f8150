/** What the executables with ocserv's names share. */
import { readFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';

interface PackageFile {
  readonly version: string;
  readonly oclif: { readonly plugins: readonly string[] };
}

const PACKAGE = new URL('../../../package.json', import.meta.url);
/** What ocserv calls the features that our plugins bring. */
const FEATURES: Readonly<Record<string, string>> = {
  '@ocvpn/plugin-auth-plain': 'oath',
  '@ocvpn/plugin-auth-pam': 'PAM',
  '@ocvpn/plugin-auth-radius': 'radius',
  '@ocvpn/plugin-auth-gssapi': 'gssapi',
  '@ocvpn/plugin-auth-oidc': 'oidc-auth',
};

/** Name, version and features in the form that scripts look for. */
export function versionText(program: string): string {
  const { version, oclif } = JSON.parse(readFileSync(PACKAGE, 'utf8')) as PackageFile;
  const features = ['AnyConnect', ...oclif.plugins.flatMap((plugin) => FEATURES[plugin] ?? [])];
  return `${program} (ocvpn) ${version}\n\nCompiled with: ${features.join(', ')}\n`;
}

/** Reads options, or prints what is wrong with them and the usage, and ends with status 1. */
export function readOptions<O extends NonNullable<ParseArgsConfig['options']>>(
  options: O,
  usage: string,
): ReturnType<typeof parseArgs<{ options: O; allowPositionals: true }>> {
  try {
    return parseArgs({ options, allowPositionals: true });
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${usage}`);
    process.exit(1);
  }
}
