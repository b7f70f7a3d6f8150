/** Client certificates for tests, made by openssl: an authority, good certificates below it, and every kind of bad one. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type ClientKey = 'rsa' | 'ec' | 'ed25519';

export interface ClientRequest {
  readonly key?: ClientKey;
  /** As in openssl's -subj; absent: `/CN=name/UID=name`. */
  readonly subject?: string;
  /** subjectAltName of openssl's configuration. */
  readonly names?: string;
  /** extendedKeyUsage; absent: clientAuth. */
  readonly purpose?: string;
  /** Name of the authority; 'self' signs itself. */
  readonly by?: string;
  /** It has ended long ago. */
  readonly expired?: boolean;
}

const KEYS: Readonly<Record<ClientKey, readonly string[]>> = {
  rsa: ['rsa:2048'],
  ec: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  ed25519: ['ed25519'],
};

export class ClientPki {
  readonly folder: string;
  readonly #revoked: string[] = [];

  /** Makes the authority `ca` in a folder of its own below `folder`. */
  constructor(folder: string) {
    this.folder = join(folder, 'client-pki');
    mkdirSync(this.folder);
    this.authority('ca');
    writeFileSync(
      this.path('ca.conf'),
      '[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\ncrlnumber=crlnumber\n',
    );
    writeFileSync(this.path('index.txt'), '');
    writeFileSync(this.path('crlnumber'), '01\n');
  }

  path = (name: string): string => join(this.folder, name);
  read = (name: string): string => readFileSync(this.path(name), 'utf8');

  /** Another authority, self-signed. */
  authority(name: string): void {
    this.openssl(
      'req',
      '-x509',
      '-newkey',
      ...KEYS.ec,
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.crt`,
      '-addext',
      'keyUsage=critical,keyCertSign,cRLSign',
    );
  }

  /** Makes `<name>.crt` and `<name>.key`; returns openconnect's arguments for them. */
  issue(name: string, request: ClientRequest = {}): string[] {
    const { key = 'ec', subject = `/CN=${name}/UID=${name}`, purpose = 'clientAuth', by = 'ca' } = request;
    const names = request.names ? ['-addext', `subjectAltName=${request.names}`] : [];
    const extensions = [
      '-addext',
      `extendedKeyUsage=${purpose}`,
      '-addext',
      'basicConstraints=critical,CA:FALSE',
      ...names,
    ];
    this.openssl(
      'req',
      '-new',
      '-utf8',
      '-newkey',
      ...KEYS[key],
      '-nodes',
      '-subj',
      subject,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      ...extensions,
    );
    const issuer = by === 'self' ? ['-key', `${name}.key`] : ['-CA', `${by}.crt`, '-CAkey', `${by}.key`];
    const days = request.expired ? '-1' : '2';
    this.openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-copy_extensions',
      'copy',
      ...issuer,
      '-days',
      days,
      '-out',
      `${name}.crt`,
    );
    return this.args(name);
  }

  args = (name: string): string[] => [
    `--certificate=${this.path(`${name}.crt`)}`,
    `--sslkey=${this.path(`${name}.key`)}`,
  ];

  /** Revokes certificates of `ca` and writes the list anew: `crl.pem` and `crl.der`. */
  revoke(...names: readonly string[]): void {
    for (const name of names) {
      const serial = this.openssl('x509', '-in', `${name}.crt`, '-noout', '-serial')
        .trim()
        .replace('serial=', '');
      this.#revoked.push(`R\t300101000000Z\t260101000000Z\t${serial}\tunknown\t/CN=${name}\n`);
    }
    writeFileSync(this.path('index.txt'), this.#revoked.join(''));
    this.openssl(
      'ca',
      '-config',
      'ca.conf',
      '-gencrl',
      '-md',
      'sha256',
      '-crldays',
      '2',
      '-keyfile',
      'ca.key',
      '-cert',
      'ca.crt',
      '-out',
      'crl.pem',
    );
    this.openssl('crl', '-in', 'crl.pem', '-outform', 'DER', '-out', 'crl.der');
  }

  openssl(...args: readonly string[]): string {
    return execFileSync('openssl', args, { cwd: this.folder, stdio: 'pipe' }).toString();
  }
}
