/** The URL table (reference protocol.md §3): what each path means for GET, POST and CONNECT. */
import { type HttpReply, page } from './http-reply.js';

/** Longest request target that is looked at, bytes. */
export const MAX_URL_BYTES = 255;

export type Route =
  /** `group`: the part of an unknown path that may name a group; '' for a path of the login itself. */
  | { readonly kind: 'auth'; readonly group: string }
  /** Cisco's IP phones. */
  | { readonly kind: 'phone' }
  /** The user-profile, for those who have logged in. */
  | { readonly kind: 'profile' }
  | { readonly kind: 'stub'; readonly reply: HttpReply }
  | { readonly kind: 'tunnel' }
  | { readonly kind: 'not-found' };

const VPN_MANIFEST = '<?xml version="1.0" encoding="UTF-8"?>\n<vpn rev="1.0">\n</vpn>\n';
const EMPTY_PAGE = '<html></html>\n';

const authPaths = ['/', '/auth', '/VPN'];
const PHONE_PATH = '/svc';
const PROFILES = '/profiles';

/** Pages that AnyConnect fetches before it goes on; it stalls in "checking for updates" without them. */
const stubs: ReadonlyMap<string, HttpReply> = new Map([
  ...[
    '/VPNManifest.xml',
    '/1/VPNManifest.xml',
    '/+CSCOT+/translation-table',
    '/+CSCOT+/oem-customization',
  ].map((path) => [path, page('text/xml', VPN_MANIFEST)] as const),
  ['/1/binaries/update.txt', page('text/xml', '0,0,0000\n')],
  ['/1/binaries/vpndownloader.sh', page('application/x-shellscript', '#!/bin/sh\n\nexit 0')],
  ...[
    '/1/index.html',
    '/1/Linux',
    '/1/Linux_64',
    '/1/Windows',
    '/1/Windows_ARM64',
    '/1/Darwin_i386',
    '/logout',
  ].map((path) => [path, page('text/html', EMPTY_PAGE)] as const),
]);

const matchesGet = (url: string, path: string): boolean =>
  url === path || url.startsWith(`${path}?`) || url.startsWith(path === '/' ? '/?' : `${path}/`);
const matchesPost = (url: string, path: string): boolean => url === path || url.startsWith(`${path}?`);

/**
 * Looks a request up. `authenticating`: a login is in progress on this connection, in which case a POST to an
 * unknown path is 404; otherwise it starts a login there (group URLs).
 */
export function route(method: string, url: string, authenticating: boolean): Route {
  if (method === 'CONNECT') return routeConnect(url);
  if (method === 'GET') return routeGet(url);
  if (method !== 'POST') return { kind: 'not-found' };
  if (matchesPost(url, PHONE_PATH)) return { kind: 'phone' };
  if (authPaths.some((path) => matchesPost(url, path))) return { kind: 'auth', group: '' };
  return authenticating ? { kind: 'not-found' } : { kind: 'auth', group: groupOf(url) };
}

function routeGet(url: string): Route {
  if (authPaths.some((path) => matchesGet(url, path))) return { kind: 'auth', group: '' };
  if (matchesGet(url, PHONE_PATH)) return { kind: 'phone' };
  if (matchesGet(url, PROFILES)) return { kind: 'profile' };
  for (const [path, reply] of stubs) if (matchesGet(url, path)) return { kind: 'stub', reply };
  return { kind: 'not-found' };
}

/** `/group?query` is `group`; '' when it cannot be decoded. */
function groupOf(url: string): string {
  const path = url.slice(1).split('?', 1)[0] ?? '';
  try {
    return decodeURIComponent(path.replace(/\/$/, ''));
  } catch {
    // A broken escape names nothing.
    return '';
  }
}

/** Clavister's client leaves out the leading slash. */
function routeConnect(url: string): Route {
  return url === '/CSCOSSLC/tunnel' || url === 'CSCOSSLC/tunnel' ? { kind: 'tunnel' } : { kind: 'not-found' };
}
