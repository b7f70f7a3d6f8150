/** The syntax of texts, by the names that the schema uses. Each check returns what is wrong, or null. */
import { parseAuthMethod } from './auth-method.js';
import { parsePorts } from './fw-ports.js';
import { parseKkdcp } from './kkdcp.js';
import { parseListenAddress } from './listen-address.js';
import { isDefaultRoute, isIp, parseNetwork } from './networks.js';
import type { Format } from './option-spec.js';

/** IFNAMSIZ (linux/if.h) is 16 with the final NUL; the kernel appends up to five digits to the prefix. */
const MAX_DEVICE_PREFIX = 10;
const LABEL = '[\\p{L}\\p{N}_](?:[\\p{L}\\p{N}_-]*[\\p{L}\\p{N}_])?';
const DOMAIN = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*\\.?$`, 'u');
/** RFC 9110 section 5.6.2: token, then the colon. */
const HEADER = /^[!#$%&'*+.^_`|~\w-]+\s*:/;

const matches =
  (what: string, test: (text: string) => boolean) =>
  (text: string): string | null =>
    test(text) ? null : `"${text}" ${what}`;

const path = (text: string): string | null =>
  /^(?:pkcs11|tpmkey):/i.test(text)
    ? `"${text}" is a key in a token, which cannot be used; give a file`
    : null;

export const formats: Readonly<Record<Format, (text: string) => string | null>> = {
  address: matches('is not an IP address', isIp),
  ipv4: matches('is not an IPv4 address', (text) => isIp(text) && !text.includes(':')),
  ipv6: matches('is not an IPv6 address', (text) => isIp(text) && text.includes(':')),
  network: matches('is not a network', (text) => parseNetwork(text) !== null),
  route: matches(
    'is not a network (address/prefix, address/mask or default)',
    (text) => isDefaultRoute(text) || parseNetwork(text) !== null,
  ),
  host: matches('is neither an IP address nor a host name', (text) => isIp(text) || DOMAIN.test(text)),
  domain: matches('is not a domain', (text) => DOMAIN.test(text)),
  domains: matches('is not a list of domains, separated by blanks', (text) =>
    text.split(/\s+/).every((word) => DOMAIN.test(word)),
  ),
  device: matches(
    `is no prefix of a device name (at most ${MAX_DEVICE_PREFIX} letters, digits, "_", "-" or ".", a letter first)`,
    (text) => /^[A-Za-z][\w.-]*$/.test(text) && text.length <= MAX_DEVICE_PREFIX,
  ),
  auth: (text) => {
    const method = parseAuthMethod(text);
    return typeof method === 'string' ? method : null;
  },
  'camouflage-secret': matches('cannot be part of a URL: use letters, digits and -._~', (text) =>
    /^[\w.~-]+$/.test(text),
  ),
  'certificate-name': matches(
    'is neither a dotted OID (2.5.4.3) nor SAN(rfc822name) nor SAN(upn)',
    (text) => /^\d+(?:\.\d+)+$/.test(text) || /^SAN\((?:rfc822name|upn)\)$/i.test(text),
  ),
  'group-option': matches('is not of the form group or group[Friendly name]', (text) =>
    /^[^[\]]+(?:\[[^[\]]+\])?$/.test(text),
  ),
  header: matches('is not of the form "Name: value"', (text) => HEADER.test(text)),
  kkdcp: matches('is not of the form "/path REALM udp|tcp@host:port"', (text) => parseKkdcp(text) !== null),
  'listen-address': matches(
    'is neither "address:port" nor the path of a socket',
    (text) => parseListenAddress(text) !== null,
  ),
  directory: path,
  file: path,
  path,
  program: path,
  ports: matches(
    'is not of the form "tcp(443), udp(53), icmp()" or "!(tcp(25))"',
    (text) => parsePorts(text) !== null,
  ),
  url: matches('is not a URL', (text) => /^[a-z][a-z\d+.-]*:\/\/\S+$/i.test(text)),
};
