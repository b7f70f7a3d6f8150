/** `vpn config check` on a file without mistakes. */
import type { Built } from './build.js';

/** Every notice, and that there is nothing else. */
export function checkedText({ config, notices }: Built): string {
  const lines = notices.map((line) => `notice: ${line}`);
  const names = ['the default virtual host', ...config.vhosts.keys()].join(', ');
  return [...lines, `${config.source ?? 'embedded default'}: no mistakes (${names})`].join('\n');
}
