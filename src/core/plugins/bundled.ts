/** The plugins that come with the server. Each may be left out: then only its methods are not there. */
import { createRequire } from 'node:module';

/** By the methods that they bring. */
const PLUGINS: Readonly<Record<string, string>> = {
  certificate: '@ocvpn/plugin-auth-cert',
  gssapi: '@ocvpn/plugin-auth-gssapi',
  pam: '@ocvpn/plugin-auth-pam',
  plain: '@ocvpn/plugin-auth-plain',
  radius: '@ocvpn/plugin-auth-radius',
};

/** The plugin of ours that brings a method; undefined for a method of others. */
export function bundledPluginOf(method: string): string | undefined {
  return Object.hasOwn(PLUGINS, method) ? PLUGINS[method] : undefined;
}

/** The same of accounting. */
export function bundledAccountingOf(method: string): string | undefined {
  return ['pam', 'radius'].includes(method) ? PLUGINS[method] : undefined;
}

/** Those of `names` that are installed where `packageFile` (a package.json) sees them. */
export function installedOf(packageFile: string, names: readonly string[]): string[] {
  const { resolve } = createRequire(packageFile);
  return names.filter((name) => {
    try {
      resolve(`${name}/package.json`);
      return true;
    } catch (error) {
      // Anything else is an installation that is broken, and is told when it is loaded.
      return (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND';
    }
  });
}
