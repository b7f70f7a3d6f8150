/** Certificate revocation lists (RFC 5280 section 5). A list carries all that its CA has revoked; there is no other record. */
import 'reflect-metadata';
import {
  AuthorityKeyIdentifierExtension,
  Extension,
  X509Certificate,
  X509Crl,
  type X509CrlEntryParams,
  X509CrlGenerator,
  X509CrlReason,
} from '@peculiar/x509';
import type { Issued } from './issue.js';
import { keyPair } from './key-pair.js';

/** Why a certificate is revoked (RFC 5280 section 5.3.1), as it is given on the command line. */
export const REASONS = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'privilegeWithdrawn',
] as const;
export type Reason = (typeof REASONS)[number];

export interface Revocation {
  /** Hexadecimal, as in the certificate. */
  readonly serialNumber: string;
  readonly reason: Reason;
}

const CRL_NUMBER = '2.5.29.20';

/**
 * A list by `ca` of what `previous` has (PEM, null for none) and of `added`, in PEM. What is revoked already keeps its date
 * and reason. Throws if `previous` is no list of this CA.
 */
export async function issueCrl(
  ca: Issued,
  previous: string | null,
  added: readonly Revocation[],
  thisUpdate: Date,
  nextUpdate: Date,
): Promise<string> {
  const issuer = new X509Certificate(ca.certificate);
  const authority = await keyPair(ca.key);
  const old = previous === null ? null : new X509Crl(previous);
  if (old && !(await old.verify({ publicKey: issuer })))
    throw new Error('the list that is there was not issued by this CA');
  const entries: X509CrlEntryParams[] = (old?.entries ?? []).map(
    ({ serialNumber, revocationDate, reason }) => ({
      serialNumber,
      revocationDate,
      ...(reason !== undefined && { reason }),
    }),
  );
  const known = new Set(entries.map(({ serialNumber }) => canonical(serialNumber)));
  for (const { serialNumber, reason } of added) {
    if (known.has(canonical(serialNumber))) continue;
    // RFC 5280 section 5.3.1: "unspecified" is told by leaving the reason out.
    const why = reason === 'unspecified' ? {} : { reason: X509CrlReason[reason] };
    entries.push({ serialNumber, revocationDate: thisUpdate, ...why });
  }
  const list = await X509CrlGenerator.create({
    issuer: issuer.subject,
    thisUpdate,
    nextUpdate,
    signingAlgorithm: authority.algorithm,
    signingKey: authority.privateKey,
    entries,
    extensions: [
      await AuthorityKeyIdentifierExtension.create(issuer),
      new Extension(CRL_NUMBER, false, derInteger((old ? numberOf(old) : 0) + 1)),
    ],
  });
  return pemOf(Buffer.from(list.rawData));
}

/** RFC 7468 section 6. */
function pemOf(der: Buffer): string {
  const lines = der.toString('base64').replaceAll(/(.{64})(?=.)/g, '$1\n');
  return `-----BEGIN X509 CRL-----\n${lines}\n-----END X509 CRL-----\n`;
}

export interface CrlSummary {
  readonly issuer: string;
  /** null: the list has none. */
  readonly number: number | null;
  readonly thisUpdate: string;
  readonly nextUpdate: string;
  readonly revoked: readonly {
    readonly serialNumber: string;
    readonly revoked: string;
    readonly reason: string;
  }[];
}

/** What is in a list, PEM or DER. Throws if it is none. */
export function describeCrl(bytes: Buffer): CrlSummary {
  const list = new X509Crl(bytes.includes('-----BEGIN') ? bytes.toString() : Uint8Array.from(bytes));
  return {
    issuer: list.issuer,
    number: list.extensions.some(({ type }) => type === CRL_NUMBER) ? numberOf(list) : null,
    thisUpdate: list.thisUpdate.toISOString(),
    nextUpdate: list.nextUpdate?.toISOString() ?? '',
    revoked: list.entries.map(({ serialNumber, revocationDate, reason }) => ({
      serialNumber: canonical(serialNumber),
      revoked: revocationDate.toISOString(),
      reason: X509CrlReason[reason ?? X509CrlReason.unspecified] ?? String(reason),
    })),
  };
}

/** Lower case, without leading zeros. */
export const canonical = (serialNumber: string): string =>
  serialNumber
    .toLowerCase()
    .replaceAll(':', '')
    .replace(/^0+(?=.)/, '');

function numberOf(list: X509Crl): number {
  const extension = list.extensions.find(({ type }) => type === CRL_NUMBER);
  if (!extension) return 0;
  const der = Buffer.from(extension.value);
  // INTEGER, its length, its bytes; ours stay far below six bytes.
  return der.readUIntBE(2, Math.min(der.readUInt8(1), 6));
}

/** INTEGER of a positive number below 2^47: the shortest form, its first bit is the sign. */
function derInteger(value: number): Buffer {
  const length = Math.floor(Math.log2(value) / 8 + 1 / 8) + 1;
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return Buffer.concat([Buffer.from([2, bytes.length]), bytes]);
}
