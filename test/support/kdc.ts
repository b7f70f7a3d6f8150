/** A private MIT KDC with realms of its own, and what its clients and services need. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inside, type Lab, outside } from './lab.ts';
import { type Companion, must } from './process.ts';

export interface KdcRequest {
  /** For all files. */
  readonly folder: string;
  readonly realm: string;
  readonly address: string;
  readonly port: number;
  /** Starts a process where the KDC is to be. */
  readonly start: (name: string, command: readonly string[], env: Record<string, string>) => Companion;
}

export interface Kdc {
  readonly realm: string;
  /** `address:port`. */
  readonly place: string;
  /** Path of a krb5.conf that knows this realm. */
  readonly conf: string;
  process: Companion;
  /** Adds a user. */
  addUser(principal: string, password: string): Promise<void>;
  /** Adds a service and writes its keys to `keytab`. */
  addService(principal: string, keytab: string): Promise<void>;
  /** Gives a service new keys, and `keytab` those alone. */
  renewKeys(principal: string, keytab: string): Promise<void>;
  /** Starts it again after its end. */
  restart(): Promise<void>;
}

/** Text of a krb5.conf. `kdcs` by realm, the first one is the default; `lines` go to [libdefaults]. */
export function krb5Conf(kdcs: Readonly<Record<string, string>>, lines: readonly string[] = []): string {
  const [first = ''] = Object.keys(kdcs);
  const realms = Object.entries(kdcs).map(([realm, place]) => `  ${realm} = {\n    kdc = ${place}\n  }\n`);
  // Names are taken as they are: a namespace has no name server.
  const defaults = [
    `default_realm = ${first}`,
    'dns_lookup_kdc = false',
    'dns_lookup_realm = false',
    'dns_canonicalize_hostname = false',
    'rdns = false',
    'udp_preference_limit = 1',
    ...lines,
  ];
  return `[libdefaults]\n  ${defaults.join('\n  ')}\n[realms]\n${realms.join('')}`;
}

/** Makes the realm and starts its KDC. */
export async function startKdc({ folder, realm, address, port, start }: KdcRequest): Promise<Kdc> {
  const home = join(folder, realm);
  mkdirSync(home, { recursive: true });
  const conf = join(home, 'krb5.conf');
  const profile = join(home, 'kdc.conf');
  const place = `${address}:${port}`;
  writeFileSync(conf, krb5Conf({ [realm]: place }));
  writeFileSync(
    profile,
    `[kdcdefaults]
  kdc_listen = ${place}
  kdc_tcp_listen = ${place}
[realms]
  ${realm} = {
    database_name = ${home}/principal
    key_stash_file = ${home}/stash
    acl_file = ${home}/acl
  }
[logging]
  kdc = STDERR
`,
  );
  const env = { KRB5_CONFIG: conf, KRB5_KDC_PROFILE: profile };
  await must(['kdb5_util', 'create', '-s', '-r', realm, '-P', 'master'], { env });
  const admin = (query: string): Promise<string> => must(['kadmin.local', '-r', realm, '-q', query], { env });
  const launch = async (): Promise<Companion> => {
    const process = start(`kdc-${realm}`, ['krb5kdc', '-n', '-r', realm], env);
    await process.waitFor(/commencing operation/);
    return process;
  };
  const kdc: Kdc = {
    realm,
    place,
    conf,
    process: await launch(),
    addUser: async (principal, password) => {
      await admin(`addprinc +requires_preauth -pw ${password} ${principal}`);
    },
    addService: async (principal, keytab) => {
      await admin(`addprinc -randkey ${principal}`);
      await admin(`ktadd -k ${keytab} ${principal}`);
    },
    renewKeys: async (principal, keytab) => {
      rmSync(keytab);
      await admin(`ktadd -k ${keytab} ${principal}`);
    },
    restart: async () => {
      kdc.process = await launch();
    },
  };
  return kdc;
}

/** A KDC on the inner host, which clients do not reach. Its user is alice with the password "secret". */
export async function labKdc(lab: Lab): Promise<Kdc> {
  const kdc = await startKdc({
    folder: lab.folder,
    realm: 'LAB.TEST',
    address: inside.host4,
    port: 88,
    start: (name, command, env) => lab.inner.start(name, command, { env }),
  });
  await kdc.addUser('alice', 'secret');
  return kdc;
}

/** The environment of a client whose KDC is a page of the server; `certificate` is the server's. */
export function proxiedClient(lab: Lab, certificate: string, path = '/KdcProxy'): Record<string, string> {
  const place = `https://${outside.server4}${path}`;
  const text = krb5Conf({ 'LAB.TEST': place }).replace(
    `kdc = ${place}`,
    `kdc = ${place}\n    http_anchors = FILE:${certificate}`,
  );
  const conf = join(lab.folder, `client${path.replaceAll('/', '-')}.conf`);
  writeFileSync(conf, text);
  return { KRB5_CONFIG: conf, KRB5CCNAME: `FILE:${join(lab.folder, 'cc')}` };
}
