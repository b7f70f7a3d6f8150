/** Attributes that logins and accounting have in common. */
import { isIPv6 } from 'node:net';
import type { Attribute } from './packet.js';
import type { RadiusConfig } from './radcli-conf.js';

/** NAS-IP(v6)-Address and NAS-Identifier. `ourIp`: the server's address that the client reached, '' if unknown. */
export function nasAttributes(config: RadiusConfig, ourIp: string): Attribute[] {
  const address = config.nasIp ?? ourIp;
  const identifier: Attribute = ['NAS-Identifier', config.nasIdentifier];
  if (address === '') return [identifier];
  return [[isIPv6(address) ? 'NAS-IPv6-Address' : 'NAS-IP-Address', address], identifier];
}

/** A user name as the servers get it. */
export function withRealm(userName: string, { defaultRealm }: RadiusConfig): string {
  return defaultRealm === '' || userName.includes('@') ? userName : `${userName}@${defaultRealm}`;
}

/** Connect-Info, absent for an empty text, which RADIUS does not have. */
export function connectInfo(userAgent: string): Attribute[] {
  return userAgent === '' ? [] : [['Connect-Info', userAgent]];
}
