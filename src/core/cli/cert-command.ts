/** What the `vpn cert` commands share: their flags, and how a result is shown. */
import { Command, Flags } from '@oclif/core';
import type { CertificateSummary } from '../pki/describe.js';
import { KEY_TYPES, type KeyType } from '../pki/key-pair.js';
import type { CrlSummary } from '../pki/revocation.js';
import { jsonFlag, pkiFolder } from './flags.js';

export const folderFlags = {
  dir: Flags.string({
    summary: 'Folder of the certificate authority.',
    default: async () => pkiFolder(),
    defaultHelp: '/var/lib/vpn/pki',
  }),
  json: jsonFlag(),
};

export const forceFlag = Flags.boolean({ default: false, summary: 'Overwrite what is there.' });
export const daysFlag = (days: number) =>
  Flags.integer({ summary: 'Days of validity.', default: days, min: 1, max: 36_500 });
export const keyTypeFlag = Flags.option({
  options: KEY_TYPES,
  default: 'ec' as KeyType,
  summary: 'Type of the key: EC on P-256, RSA with 3072 bits, or Ed25519.',
});

interface Result {
  readonly files: readonly string[];
  readonly certificate?: CertificateSummary;
  readonly crl?: CrlSummary;
}

export abstract class CertCommand extends Command {
  /** Prints what was made; `next` are lines that say what to do with it. */
  protected show(result: Result, json: boolean, next: readonly string[] = []): void {
    if (json) {
      this.log(JSON.stringify(result, null, 2));
      return;
    }
    for (const file of result.files) this.log(`wrote ${file}`);
    if (result.certificate) this.log(certificateText(result.certificate));
    if (result.crl) this.log(crlText(result.crl));
    for (const line of next) this.log(line);
  }
}

export function certificateText(certificate: CertificateSummary): string {
  const { subject, issuer, serialNumber, notBefore, notAfter, key, purposes, alternativeNames } = certificate;
  const rows: [string, string][] = [
    ['subject', subject],
    ['issuer', subject === issuer ? 'itself' : issuer],
    ['valid', `${notBefore} to ${notAfter}${new Date(notAfter) < new Date() ? ' (ended)' : ''}`],
    ['serial', serialNumber],
    ['key', key],
    [
      'for',
      certificate.isCa ? 'certificate authority' : purposes.map(purposeText).join(', ') || 'any purpose',
    ],
    ['names', alternativeNames.join(', ')],
    ['sha256', certificate.sha256],
    ['pin', certificate.pin],
  ];
  return textOf(rows);
}

export function crlText({ issuer, number, thisUpdate, nextUpdate, revoked }: CrlSummary): string {
  const rows: [string, string][] = [
    ['issuer', issuer],
    ['number', String(number ?? '')],
    ['valid', `${thisUpdate} to ${nextUpdate || 'further notice'}`],
    ['revoked', revoked.length === 0 ? 'nothing' : ''],
    ...revoked.map((entry): [string, string] => [
      '',
      `${entry.serialNumber}  ${entry.revoked}  ${entry.reason}`,
    ]),
  ];
  return textOf(rows);
}

function textOf(rows: readonly [string, string][]): string {
  const shown = rows.filter(([name, value]) => value !== '' || name === 'revoked');
  return shown.map(([name, value]) => `  ${name.padEnd(8)} ${value}`.trimEnd()).join('\n');
}

/** RFC 5280 section 4.2.1.12 */
const PURPOSES: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'TLS servers',
  '1.3.6.1.5.5.7.3.2': 'TLS clients',
};
const purposeText = (oid: string): string => PURPOSES[oid] ?? oid;
