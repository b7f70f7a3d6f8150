/** Option restrict-user-to-ports: `tcp(443), udp(53), icmp()`, or with `!( … )` what is forbidden. */

const WITH_PORT = ['tcp', 'udp', 'sctp'] as const;
const WITHOUT_PORT = ['icmp', 'icmpv6', 'esp'] as const;

export interface PortRule {
  readonly protocol: (typeof WITH_PORT | typeof WITHOUT_PORT)[number];
  /** null: the protocol as a whole. */
  readonly port: number | null;
}

export interface PortRules {
  /** True: these are refused and the rest allowed. */
  readonly negated: boolean;
  readonly rules: readonly PortRule[];
}

/** Reads the option; '' is an empty list. null when it is malformed. */
export function parsePorts(text: string): PortRules | null {
  const trimmed = text.trim();
  const inner = /^!\s*\((.*)\)$/s.exec(trimmed)?.[1];
  const list = (inner ?? trimmed).trim();
  if (list === '') return inner === undefined ? { negated: false, rules: [] } : null;
  const rules = list.split(/,/).map(parseRule);
  return rules.every((rule) => rule !== null) ? { negated: inner !== undefined, rules } : null;
}

function parseRule(text: string): PortRule | null {
  const [, name = '', argument = ''] = /^\s*([a-z0-9]+)\s*\(\s*(\w*)\s*\)\s*$/i.exec(text) ?? [];
  const lower = name.toLowerCase();
  const withPort = WITH_PORT.find((known) => known === lower);
  if (withPort !== undefined) {
    if (/^(all)?$/.test(argument)) return { protocol: withPort, port: null };
    const port = /^\d{1,5}$/.test(argument) ? Number(argument) : 0;
    return port >= 1 && port <= 65535 ? { protocol: withPort, port } : null;
  }
  const protocol = WITHOUT_PORT.find((known) => known === lower);
  return protocol !== undefined && argument === '' ? { protocol, port: null } : null;
}
