/** Names out of an X.509 certificate (RFC 5280): attributes of the subject, and alternative names. */
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  Certificate,
  DirectoryString,
  type GeneralName,
  id_ce_subjectAltName,
  SubjectAlternativeName,
} from '@peculiar/asn1-x509';

/** userPrincipalName as Active Directory writes it. */
const UPN = '1.3.6.1.4.1.311.20.2.3';

const ALTERNATIVE_NAMES: Readonly<Record<string, (name: GeneralName) => string | undefined>> = {
  rfc822name: ({ rfc822Name }) => rfc822Name,
  upn: ({ otherName }) =>
    otherName?.typeId === UPN ? AsnConvert.parse(otherName.value, DirectoryString).toString() : undefined,
};

/**
 * The values of a field in the order of the certificate: `field` is the dotted OID of an attribute of the subject,
 * `SAN(rfc822name)` or `SAN(upn)`. Throws when the bytes are no certificate or the field is none of these.
 */
export function namesIn(der: Uint8Array, field: string): string[] {
  const { tbsCertificate } = AsnConvert.parse(der, Certificate);
  const alternative = /^SAN\((\w+)\)$/i.exec(field)?.[1]?.toLowerCase();
  if (alternative === undefined) return subjectValues(tbsCertificate, field);
  const pick = ALTERNATIVE_NAMES[alternative];
  if (!pick) throw new RangeError(`${field} is no alternative name that can be read`);
  return alternativeNames(tbsCertificate)
    .map(pick)
    .filter((name) => name !== undefined);
}

function subjectValues({ subject }: Certificate['tbsCertificate'], oid: string): string[] {
  const attributes = [...subject].flatMap((set) => [...set]).filter(({ type }) => type === oid);
  // What is no string has no name in it.
  return attributes.filter(({ value }) => value.anyValue === undefined).map(({ value }) => value.toString());
}

function alternativeNames({ extensions }: Certificate['tbsCertificate']): GeneralName[] {
  const found = extensions?.find(({ extnID }) => extnID === id_ce_subjectAltName);
  return found ? [...AsnConvert.parse(found.extnValue.buffer, SubjectAlternativeName)] : [];
}
