/** The server's certificates: chain, names, time. */
import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { embeddedPaths, usesEmbeddedCertificate } from '../config/embedded.js';
import type { VhostConfig } from '../config/schema.js';
import { type Check, type Finding, failure, ok, warning } from './finding.js';

const DAY_MS = 86_400_000;
const SOON_DAYS = 14;
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export const certificates: Check = ({ config, dataDir }) => {
  const { serverCert } = embeddedPaths(dataDir);
  if (usesEmbeddedCertificate(config.default, dataDir) && !existsSync(serverCert))
    return [ok('certificate', `The server makes its own certificate at its first start (${serverCert}).`)];
  return [config.default, ...config.vhosts.values()].flatMap((vhost) =>
    vhost['server-cert'].flatMap((path) => ofFile(vhost, path)),
  );
};

function ofFile(vhost: VhostConfig, path: string): Finding[] {
  let chain: X509Certificate[];
  try {
    const text = readFileSync(path, 'utf8');
    chain = [...text.matchAll(PEM)].map(([pem]) => new X509Certificate(pem));
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it does not exist' : (error as Error).message;
    const mend = 'Correct server-cert.';
    return [failure('certificate', `The certificate ${path} cannot be read: ${reason}.`, mend)];
  }
  const [leaf] = chain;
  if (leaf === undefined) {
    const mend =
      "Give a file in PEM, the server's certificate first, then those of the authorities between it and the root.";
    return [failure('certificate', `There is no certificate in ${path}.`, mend)];
  }
  const found = [
    ...chain.flatMap((one) => timeOf(path, one)),
    ...chainOf(path, chain),
    ...namesOf(vhost, path, leaf),
  ];
  if (found.length > 0) return found;
  const until = new Date(leaf.validTo).toISOString().slice(0, 10);
  return [ok('certificate', `${path} is valid until ${until}, for ${leaf.subjectAltName ?? leaf.subject}.`)];
}

function timeOf(path: string, certificate: X509Certificate): Finding[] {
  const subject = certificate.subject.replaceAll('\n', ', ');
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const renew = 'Renew it and write the new one to the same file: it is used without a restart.';
  if (Date.now() > to)
    return [failure('certificate', `${path}: the validity of ${subject} has ended.`, renew)];
  if (Date.now() < from) {
    return [failure('certificate', `${path}: the validity of ${subject} has not begun.`, 'Check the clock.')];
  }
  const days = Math.floor((to - Date.now()) / DAY_MS);
  if (days >= SOON_DAYS) return [];
  return [
    warning(
      'certificate',
      `${path}: the validity of ${subject} ends ${days < 1 ? 'within a day' : `in ${days} ${days === 1 ? 'day' : 'days'}`}.`,
      renew,
    ),
  ];
}

/** Each certificate is signed by the next; a leaf alone must be self-signed or is incomplete. */
function chainOf(path: string, chain: readonly X509Certificate[]): Finding[] {
  const mend =
    'Append the certificates of the authorities in order (most authorities call that file "fullchain").';
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1];
    if (issuer && !(certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)))
      return [
        failure(
          'certificate',
          `${path}: certificate ${index + 1} is not signed by certificate ${index + 2}.`,
          mend,
        ),
      ];
  }
  const [leaf, second] = chain;
  if (!leaf || second) return [];
  if (!leaf.checkIssued(leaf) && !isOfOwnRoot(path, leaf))
    return [
      warning('certificate', `${path} has no certificate of the authority between it and the root.`, mend),
    ];
  return [];
}

/** `vpn cert` and the embedded default keep their root, whose clients know it or a pin, beside what it issues. */
function isOfOwnRoot(path: string, leaf: X509Certificate): boolean {
  const file = join(dirname(path), 'ca.crt');
  if (!existsSync(file)) return false;
  const root = new X509Certificate(readFileSync(file));
  return root.checkIssued(root) && leaf.checkIssued(root) && leaf.verify(root.publicKey);
}

/** Clients compare the name that they connect to with the alternative names. */
function namesOf(vhost: VhostConfig, path: string, leaf: X509Certificate): Finding[] {
  if (!leaf.subjectAltName) {
    const mend =
      'Have it issued with the names (subjectAltName) that clients connect to; the common name alone is not looked at.';
    return [warning('certificate', `${path} names no host.`, mend)];
  }
  if (vhost.name === 'default' || leaf.checkHost(vhost.name) !== undefined) return [];
  const mend = `Have it issued for ${vhost.name}: that is what clients of this virtual host ask for.`;
  return [failure('certificate', `${path} is not for ${vhost.name}, but for ${leaf.subjectAltName}.`, mend)];
}
