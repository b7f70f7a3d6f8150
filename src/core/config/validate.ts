/** Checks of values against the schema and of options against each other. Each returns sentences, not the first mistake only. */
import { parseAuthMethod } from './auth-method.js';
import { didYouMean } from './did-you-mean.js';
import { parsePorts } from './fw-ports.js';
import { isDefaultRoute, isIp, parseNetwork } from './networks.js';
import { type OptionName, type OptionSpec, options, type VhostConfig } from './schema.js';

/** IFNAMSIZ (linux/if.h) is 16 with the final NUL; the kernel appends up to five digits to the prefix. */
const MAX_DEVICE_PREFIX = 10;
const MAX_BANNER_BYTES = 256;

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(options, name);
}

/** What is wrong with an option's name, with the name that may have been meant. */
export function unknownOption(name: string): string {
  const meant = didYouMean(name, Object.keys(options));
  return `unknown option${meant ? `, did you mean ${meant}?` : ''}`;
}

/** Checks type, range and permitted values; a single text is taken as a list of one. Returns the value or a sentence. */
export function checkValue(name: OptionName, value: unknown): { value: unknown } | { problem: string } {
  const spec: OptionSpec = options[name];
  const candidate = spec.type === 'list' && typeof value === 'string' ? [value] : value;
  const problem = problemOf(spec, candidate);
  return problem ? { problem } : { value: candidate };
}

function problemOf(spec: OptionSpec, value: unknown): string | null {
  switch (spec.type) {
    case 'boolean':
      return typeof value === 'boolean' ? null : `must be true or false, not ${shown(value)}`;
    case 'number':
      return numberProblem(spec, value);
    case 'string':
      if (typeof value !== 'string') return `must be a text, not ${shown(value)}`;
      return spec.values && !spec.values.includes(value)
        ? `must be one of ${spec.values.join(', ')}, not ${shown(value)}`
        : null;
    case 'list':
      return Array.isArray(value) && value.every((item) => typeof item === 'string')
        ? null
        : `must be a list of texts, not ${shown(value)}`;
  }
}

function numberProblem(spec: OptionSpec, value: unknown): string | null {
  const unit = spec.unit ? ` ${spec.unit}` : '';
  if (typeof value !== 'number' || !Number.isSafeInteger(value))
    return `must be a whole number, not ${shown(value)}`;
  if (spec.min !== undefined && value < spec.min) return `must be at least ${spec.min}${unit}, not ${value}`;
  if (spec.max !== undefined && value > spec.max) return `must be at most ${spec.max}${unit}, not ${value}`;
  return null;
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

export interface Problem {
  readonly option: OptionName;
  readonly problem: string;
}

/** Checks of one virtual host as a whole. */
export function checkVhost(vhost: VhostConfig): Problem[] {
  return [...authProblems(vhost), ...poolProblems(vhost), ...routeProblems(vhost), ...textProblems(vhost)];
}

function authProblems(vhost: VhostConfig): Problem[] {
  const problems: Problem[] = [];
  if (vhost.auth.length === 0) problems.push({ option: 'auth', problem: 'is missing: nobody could log in' });
  if (vhost.auth.length > 1) {
    problems.push({ option: 'auth', problem: 'only one method that asks for a password can be used' });
  }
  for (const text of vhost.auth) {
    const method = parseAuthMethod(text);
    if (typeof method === 'string') problems.push({ option: 'auth', problem: method });
  }
  const [certs, keys] = [vhost['server-cert'].length, vhost['server-key'].length];
  if (certs === 0) problems.push({ option: 'server-cert', problem: 'is missing' });
  if (certs !== keys) {
    problems.push({ option: 'server-key', problem: `${keys} given for ${certs} server-cert` });
  }
  return problems;
}

function poolProblems(vhost: VhostConfig): Problem[] {
  const problems: Problem[] = [];
  const [text4, text6] = [vhost['ipv4-network'], vhost['ipv6-network']];
  const pool4 = text4 ? parseNetwork(text4, vhost['ipv4-netmask']) : null;
  const pool6 = text6 ? parseNetwork(text6) : null;
  if (!text4 && !text6)
    problems.push({ option: 'ipv4-network', problem: 'no address pool, neither IPv4 nor IPv6' });
  if (text4 && (pool4?.family !== 4 || pool4.prefix > 30)) {
    problems.push({
      option: 'ipv4-network',
      problem: `"${text4}" is no IPv4 network with a length of at most 30`,
    });
  }
  if (text6 && (pool6?.family !== 6 || pool6.prefix > 126)) {
    problems.push({
      option: 'ipv6-network',
      problem: `"${text6}" is no IPv6 network with a length of at most 126`,
    });
  }
  const perClient = vhost['ipv6-subnet-prefix'];
  if (pool6?.family === 6 && perClient <= pool6.prefix) {
    problems.push({
      option: 'ipv6-subnet-prefix',
      problem: `${perClient} is not longer than that of ${text6}`,
    });
  }
  return problems;
}

function routeProblems(vhost: VhostConfig): Problem[] {
  const problems: Problem[] = [];
  for (const option of ['route', 'no-route'] as const) {
    for (const text of vhost[option]) {
      const everything = option === 'route' && isDefaultRoute(text);
      if (!everything && !parseNetwork(text))
        problems.push({ option, problem: `"${text}" is not a network` });
    }
  }
  if (parsePorts(vhost['restrict-user-to-ports']) === null) {
    problems.push({
      option: 'restrict-user-to-ports',
      problem: `"${vhost['restrict-user-to-ports']}" is not a list such as "tcp(443), udp(53), icmp()" or "!(tcp(25))"`,
    });
  }
  for (const option of ['dns', 'nbns'] as const) {
    for (const text of vhost[option]) {
      if (!isIp(text)) problems.push({ option, problem: `"${text}" is not an IP address` });
    }
  }
  return problems;
}

function textProblems(vhost: VhostConfig): Problem[] {
  const problems: Problem[] = [];
  if (Buffer.byteLength(vhost.banner) > MAX_BANNER_BYTES) {
    problems.push({ option: 'banner', problem: `is longer than ${MAX_BANNER_BYTES} bytes` });
  }
  if (!/^[A-Za-z][\w.-]*$/.test(vhost.device) || vhost.device.length > MAX_DEVICE_PREFIX) {
    problems.push({
      option: 'device',
      problem: `"${vhost.device}" is no prefix of a device name (at most 10 characters)`,
    });
  }
  return problems;
}
