/** The documents that are generated from the schema: the sample file, the manual page, and two pages of docs/. */
import { confLines } from './convert.js';
import { type OptionName, type OptionSpec, topics } from './schema.js';

type Entry = [OptionName, OptionSpec];
type Topic = readonly [string, readonly Entry[]];

const byTopic: readonly Topic[] = Object.entries(topics).map(([title, table]) => [
  title,
  Object.entries(table) as unknown as Entry[],
]);
const GENERATED = 'Generated from src/core/config/options; change the text there.';

/** What the sample sets; every other option is there as a comment with its default. */
const SAMPLE: Partial<Record<OptionName, unknown>> = {
  auth: ['plain[passwd=/etc/vpn/ocpasswd]'],
  'tcp-port': 443,
  'udp-port': 443,
  'ipv4-network': '192.168.99.0/24',
  dns: ['9.9.9.9'],
  nat: true,
};

/** A configuration file in ocserv's format that can be used as it is. */
export function sampleConf(): string {
  const head = `# Sample configuration; see vpn.conf(5). ${GENERATED}
# Without server-cert the server makes a certificate of its own.`;
  const parts = byTopic.flatMap(([title, entries]) => [
    `\n### ${title}`,
    ...entries.filter(([, spec]) => isUsable(spec) && !spec.userFileOnly).map(sampleOption),
  ]);
  return `${[head, ...parts].join('\n\n')}\n`;
}

const isUsable = ({ support }: OptionSpec): boolean => support === undefined;

function sampleOption([name, spec]: Entry): string {
  const chosen = SAMPLE[name];
  const [comment = '', ...lines] = confLines(name, chosen ?? exampleOf(spec), 'sample');
  const written = lines.map((line) => (chosen === undefined ? `#${line}`.trimEnd() : line));
  return [comment, ...written].join('\n');
}

function exampleOf(spec: OptionSpec): unknown {
  return spec.type === 'list' ? [''] : (spec.confDefault ?? spec.default);
}

/** docs/options.md */
export function optionsPage(): string {
  const head = `# Options

${GENERATED} Names and meanings are ocserv's. *Scope*: \`global\` is for the server as a whole, \`vhost\` may differ per virtual host,
\`user\` per user and group, too. *Reload*: whether a change takes effect with a reload. *Default*: where two are given, the second
is for files in ocserv's format, as in ocserv.`;
  const parts = byTopic.map(([title, entries]) => {
    const rows = entries.map(([name, spec]) => row([`\`${name}\``, ...columns(spec), meaning(spec)]));
    const header = row(['option', 'type', 'default', 'scope', 'reload', 'meaning']);
    return `## ${title}\n\n${header}\n|---|---|---|---|---|---|\n${rows.join('\n')}`;
  });
  return `${[head, ...parts].join('\n\n')}\n`;
}

const row = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

function columns(spec: OptionSpec): string[] {
  const defaults = [spec.default, ...(spec.confDefault === undefined ? [] : [spec.confDefault])];
  const type = spec.unit ? `${spec.type}, ${spec.unit}` : spec.type;
  return [type, defaults.map(shown).join(' / '), spec.scope, spec.reloadable ? 'yes' : 'no'];
}

function shown(value: unknown): string {
  return Array.isArray(value) || value === '' ? '-' : String(value);
}

function meaning(spec: OptionSpec): string {
  const values = spec.values ? ` One of ${spec.values.join(', ')}.` : '';
  const older = spec.aliases ? ` Older name: ${spec.aliases.join(', ')}.` : '';
  const user = spec.userFileOnly ? ' Only in files of users and groups.' : '';
  const since = spec.since === 'ocvpn' ? ' Not in ocserv.' : spec.since ? ` Since ocserv ${spec.since}.` : '';
  const support = spec.support ? ` **${sentence(spec.support.say)}**` : '';
  return `${spec.doc}${values}${older}${user}${since}${support}`;
}

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

/** docs/compat.md */
export function compatPage(): string {
  const all = byTopic.flatMap(([, entries]) => entries);
  const listed = (isListed: (spec: OptionSpec) => boolean): string =>
    all
      .filter(([, spec]) => isListed(spec))
      .map(([name, spec]) => `* \`${name}\`: ${spec.support?.say ?? spec.doc}${spec.support ? '.' : ''}`)
      .join('\n');
  return `# Compatibility with ocserv's configuration

${GENERATED}

\`vpn serve -c /etc/ocserv/ocserv.conf\` reads ocserv's own file as it is, with the rules of ocserv 1.5: comments, quotes,
\`[vhost:NAME]\` sections that inherit what they do not set (lists of options that a reload may change are added to), older
names of options, and files of users and groups. What is different:

* Mistakes are errors: unknown options and sections, numbers and booleans that are none (ocserv reads 0 and false), a value
  given twice, a quote that is not closed. All of them are told at once, with their lines.
* A semicolon inside quotes is part of the value; ocserv cuts the value there.
* An indented line is an option of its own when it looks like one; ocserv takes it as another value of the option above.
* Without any \`server-cert\` the server uses a certificate that it makes itself, and says so.
* TLS 1.1 and older are never offered, whatever \`tls-priorities\` says.
* Cisco's DTLS of before the RFC (suites AES128-SHA, AES256-SHA, DES-CBC3-SHA) is not offered: a client that is told to use
  nothing else goes on over TLS.
* Servers beside each other on one machine each have a directory of state: the command \`ocserv\` takes it from the environment
  (\`VPN_DATA_DIR\`), \`vpn serve\` from \`--data-dir\` too.
* \`oidc\` is no method of \`auth\`; a plugin can bring one (plugins.md).
* \`restrict-user-to-ports\` implies \`restrict-user-to-routes\`, as ocserv's manual says; ocserv restricts to the ports alone.
* A user with \`explicit-ipv4\` or \`explicit-ipv6\` who logs in again ends the earlier session that has the address; with ocserv
  both stay, and answers reach one of them. An address of a prefix that another client has is not given.

Whoever comes from ocserv 1.1.6 (Debian 12) meets 1.5 here: defaults (dpd 90, keepalive 32400, rekey-time 172800, cookie-timeout
300, auth-timeout 240, bans at 80 points), virtual hosts that inherit, user name and password in one form, \`split-dns\` and
\`tunnel-all-dns\` of users and groups, routes with host bits that are corrected. Addresses of users stay the same.

## Options that are refused

The server does not start with them, because something else would happen than the file says.

${listed(({ support }) => support?.level === 'refused')}

## Options without effect

They are accepted, and named when the server starts, if they are set to something else than their default.

${listed(({ support }) => support?.level === 'notice')}

## Options that ocserv does not have

${listed(({ since }) => since === 'ocvpn')}
`;
}

/** man/vpn.conf.5 */
export function manualPage(): string {
  const head = `.\\" ${GENERATED}
.TH VPN.CONF 5 "" ocvpn "File formats"
.SH NAME
vpn.conf \\- configuration of the VPN server
.SH DESCRIPTION
.B vpn serve
reads a file in the format of ocserv.conf(5), or the same options in YAML or JSON.
In ocserv's format each line is
.IR option " = " value ,
and an option that takes several values is repeated.
A value may be put in double quotes; # and ; at the start of a line begin a comment.
.PP
.B [vhost:\\fINAME\\fB]
begins the options of a virtual host, chosen by the name that a client asks for.
It inherits what it does not set; lists are added to, methods and keys are replaced.
In YAML and JSON virtual hosts are below
.BR vhosts ,
and their lists replace those that they inherit.
.PP
Without
.B \\-\\-config
the first of these files is used: vpn.config.yaml, vpn.config.yml, vpn.config.json and .vpnrc in the working directory, then
vpn.config.yaml, vpn.config.yml, vpn.config.json and vpn.conf in /etc/vpn.`;
  const parts = byTopic.map(([title, entries]) => {
    const items = entries.map(
      ([name, spec]) => `.TP\n.B ${roff(name)}\n${roff(`${meaning(spec)} ${facts(spec)}`)}`,
    );
    return `.SH ${title.toUpperCase()}\n${items.join('\n')}`;
  });
  const files = `.SH FILES OF USERS AND GROUPS
A file of
.BR config\\-per\\-user " or " config\\-per\\-group
is named as its user or group and has options of the scope user.
With the ending .yaml, .yml or .json it is in that format.
Values of the user win over those of the group, and those over the server's; lists of both are joined and replace the server's.
A file with a mistake rejects the session.
.SH SEE ALSO
.BR vpn (8)`;
  return `${[head, ...parts, files].join('\n').replaceAll('**', '')}\n`;
}

function facts(spec: OptionSpec): string {
  const [type = '', value = '', scope = '', reload = ''] = columns(spec);
  return `(${type}; default ${value}; ${scope}; ${reload === 'yes' ? 'reloadable' : 'needs a restart'})`;
}

function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/^([.'])/gm, '\\&$1');
}
