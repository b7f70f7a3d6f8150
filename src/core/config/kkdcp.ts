/** The syntax of `kkdcp`: `/path REALM udp|tcp@host:port`, an IPv6 address in brackets. */

/** A KDC behind a path of the server. */
export interface KdcRoute {
  readonly path: string;
  readonly realm: string;
  readonly protocol: 'udp' | 'tcp';
  /** Address without brackets, or name. */
  readonly host: string;
  readonly port: number;
}

const ROUTE = /^(\/\S*)\s+(\S+)\s+(udp|tcp)@(?:\[([0-9a-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/i;

/** null: not of that form. */
export function parseKkdcp(text: string): KdcRoute | null {
  const [, path = '', realm = '', protocol = '', ipv6, name = '', digits] = ROUTE.exec(text.trim()) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) return null;
  return {
    path,
    realm,
    protocol: protocol.toLowerCase() === 'udp' ? 'udp' : 'tcp',
    host: ipv6 ?? name,
    port,
  };
}
