/** Where something listens that is not the VPN itself: `host:port`, `[v6]:port` or the path of a unix socket. */
import { isIP } from 'node:net';

export type ListenAddress = { readonly path: string } | { readonly host: string; readonly port: number };

/** null: it is none. A host is a literal address, so that nothing depends on a resolver. */
export function parseListenAddress(text: string): ListenAddress | null {
  if (text.startsWith('/')) return { path: text };
  const [, v6, v4, digits = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = v6 ?? v4 ?? '';
  const port = Number(digits);
  const fits = isIP(host) === (v6 === undefined ? 4 : 6) && port >= 1 && port <= 65_535;
  return fits ? { host, port } : null;
}
