/** Debian's FreeRADIUS as a machine of the lab, with a configuration of its own. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, inside, type Lab } from './lab.ts';
import type { Companion } from './process.ts';

export const SECRET = 'lab-secret-1';

export interface RadiusRequest {
  /** Lines of its `users` file. */
  readonly users?: string;
  /** unlang at the beginning of `authorize`. */
  readonly authorize?: string;
  readonly secret?: string;
  /** Where it listens; accounting is one higher. */
  readonly port?: number;
  readonly on?: Host;
  /** It also serves RadSec on port 2083, to clients with a certificate of `ca`. Paths. */
  readonly tls?: { readonly ca: string; readonly certificate: string; readonly key: string };
}

export interface RadiusServer {
  readonly process: Companion;
  /** Accounting records so far, attributes by name. */
  accounting(): Record<string, string>[];
}

const radSec = (tls: RadiusRequest['tls']): string =>
  tls
    ? `listen {
    type = auth+acct
    ipaddr = *
    port = 2083
    proto = tcp
    clients = radsec
    tls {
      private_key_file = ${tls.key}
      certificate_file = ${tls.certificate}
      ca_file = ${tls.ca}
      tls_min_version = "1.2"
      tls_max_version = "1.3"
      require_client_cert = yes
    }
  }`
    : '';

type Configured = Required<Omit<RadiusRequest, 'users' | 'on' | 'tls'>> & {
  readonly tls: RadiusRequest['tls'];
};

const configuration = (folder: string, request: Configured): string => `
prefix = /usr
logdir = ${folder}
run_dir = ${folder}
raddbdir = ${folder}
confdir = ${folder}
libdir = /usr/lib/freeradius
cleanup_delay = 1
max_request_time = 30
hostname_lookups = no
${request.tls ? 'thread pool {\n  start_servers = 2\n  max_servers = 4\n}' : ''}
security {
  max_attributes = 200
  reject_delay = 0
  status_server = yes
  allow_vulnerable_openssl = yes
}
modules {
  pap { }
  always reject {
    rcode = reject
  }
  always handled {
    rcode = handled
  }
  files {
    usersfile = ${folder}/users
  }
  detail {
    filename = ${folder}/detail
    header = "%t"
  }
}
client lab {
  ipaddr = 0.0.0.0/0
  secret = "${request.secret}"
  require_message_authenticator = yes
}
clients radsec {
  client lab-tls {
    ipaddr = 0.0.0.0/0
    proto = tls
    secret = radsec
  }
}
server default {
  ${radSec(request.tls)}
  listen {
    type = auth
    ipaddr = *
    port = ${request.port}
  }
  listen {
    type = acct
    ipaddr = *
    port = ${request.port + 1}
  }
  authorize {
    ${request.authorize}
    files
    pap
  }
  authenticate {
    Auth-Type PAP {
      pap
    }
  }
  accounting {
    detail
  }
}
`;

/** Starts it and waits until it listens. Its debug output shows every packet. */
export async function startRadius(lab: Lab, request: RadiusRequest = {}): Promise<RadiusServer> {
  const { users = '', authorize = '', secret = SECRET, port = 1812, on = lab.inner } = request;
  const folder = join(lab.folder, `raddb-${port}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'radiusd.conf'),
    configuration(folder, { authorize, secret, port, tls: request.tls }),
  );
  writeFileSync(join(folder, 'users'), `${users}\n`);
  // TLS needs its threads, which -X does without.
  const debugging = request.tls ? ['-fxx', '-l', 'stdout'] : ['-X'];
  const dictionaries = '/usr/share/freeradius';
  const process = on.start('freeradius', ['freeradius', ...debugging, '-d', folder, '-D', dictionaries]);
  await process.waitFor(/Ready to process requests/);
  return { process, accounting: () => details(join(folder, 'detail')) };
}

/** Blocks of a detail file: a heading, then `name = value` lines that are indented. */
function details(file: string): Record<string, string>[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text
    .split('\n\n')
    .filter((block) => block.includes(' = '))
    .map((block) => {
      const pairs = [...block.matchAll(/^\s+([\w-]+) = "?(.*?)"?$/gm)];
      return Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, value]));
    });
}

export interface RadcliRequest {
  /** `host:port` each. */
  readonly servers?: readonly string[];
  readonly secret?: string;
  /** How often a request is sent again. */
  readonly retries?: number;
  /** More lines. */
  readonly lines?: string;
}

/** Writes radcli's files; returns the path of radiusclient.conf. */
export function writeRadcli(lab: Lab, request: RadcliRequest = {}): string {
  const { servers = [`${inside.host4}:1812`], secret = SECRET, retries = 1, lines = '' } = request;
  const path = join(lab.folder, 'radiusclient.conf');
  const accounting = servers.map((server) => server.replace(/\d+$/, (port) => String(Number(port) + 1)));
  const hosts = new Set(servers.map((server) => server.replace(/:\d+$/, '')));
  writeFileSync(join(lab.folder, 'servers'), [...hosts].map((host) => `${host} ${secret}\n`).join(''), {
    mode: 0o600,
  });
  writeFileSync(
    path,
    `# made by the test
nas-identifier lab-vpn
authserver ${servers.join(',')}
acctserver ${accounting.join(',')}
servers servers
dictionary /etc/radcli/dictionary
radius_timeout 1
radius_retries ${retries}
${lines}
`,
  );
  return path;
}
