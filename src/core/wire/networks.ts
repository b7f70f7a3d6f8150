/** Networks as text: what the configuration says, and how the X-CSTP headers write it. */
import { isIPv4, isIPv6 } from '../util/ip-text.js';

export type Network =
  | { readonly kind: 'default' }
  | { readonly kind: 'ipv4'; readonly address: string; readonly mask: string }
  | { readonly kind: 'ipv6'; readonly address: string; readonly prefix: number };

/** `default`, `a.b.c.d[/prefix or mask]` or `ipv6[/prefix]`. null: not a network. */
export function parseNetwork(text: string): Network | null {
  const trimmed = text.trim();
  if (trimmed === 'default') return { kind: 'default' };
  const [address = '', length, ...rest] = trimmed.split('/');
  if (rest.length > 0) return null;
  if (isIPv4(address)) return ipv4Network(address, length ?? '32');
  if (isIPv6(address)) return ipv6Network(address, length ?? '128');
  return null;
}

function ipv4Network(address: string, length: string): Network | null {
  const mask = isIPv4(length) ? length : maskOfPrefix(length);
  if (mask === null) return null;
  return address === '0.0.0.0' && mask === '0.0.0.0' ? { kind: 'default' } : { kind: 'ipv4', address, mask };
}

function ipv6Network(address: string, length: string): Network | null {
  const prefix = /^\d{1,3}$/.test(length) ? Number.parseInt(length, 10) : Number.NaN;
  if (!(prefix <= 128)) return null;
  return address === '::' && prefix === 0 ? { kind: 'default' } : { kind: 'ipv6', address, prefix };
}

function maskOfPrefix(length: string): string | null {
  const prefix = /^\d{1,2}$/.test(length) ? Number.parseInt(length, 10) : Number.NaN;
  if (!(prefix <= 32)) return null;
  const bits = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.');
}
