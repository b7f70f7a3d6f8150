/**
 * docs/ipc.md, from the message declarations. A test compares the file with this text;
 * `vitest run test/unit/ipc-docs.test.ts -u` writes it anew.
 */
import type { FieldSpec, Fields } from './fields.js';
import type { MessageName, Role } from './messages.js';
import { IPC_VERSION, messageOf, type RegisteredMessage, registry } from './registry.js';
import { LATER_MS } from './transport.js';

interface Step {
  readonly name: MessageName;
  /** Only for messages with several senders or receivers. */
  readonly from?: Role;
  readonly to?: Role;
  readonly note?: string;
  /** What happens between the request and its reply. */
  readonly meanwhile?: readonly Step[];
}

/** What happens between the start of a worker and the end of its client, in order. */
const SESSION: readonly Step[] = [
  { name: 'HELLO', from: 'main', to: 'secmod' },
  { name: 'SECM_STARTUP' },
  { name: 'HELLO', from: 'worker', to: 'main', note: 'a spare worker is ready' },
  { name: 'WORKER_CONFIG' },
  { name: 'HELLO', from: 'worker', to: 'secmod' },
  { name: 'SEC_GET_PK' },
  { name: 'SEC_GET_VHOST' },
  { name: 'WORKER_STARTUP', note: 'a client connects' },
  { name: 'SEC_SIGN_DATA' },
  { name: 'SEC_AUTH_INIT' },
  { name: 'SEC_AUTH_CONT', note: 'once per password' },
  {
    name: 'AUTH_COOKIE_REQ',
    note: 'CONNECT',
    meanwhile: [{ name: 'SECM_SESSION_OPEN' }, { name: 'SECM_SESSION_ADDRESSES' }],
  },
  { name: 'SESSION_INFO' },
  { name: 'TUN_MTU' },
  { name: 'UDP_FD', note: 'the first DTLS datagram' },
  { name: 'CLI_STATS' },
  { name: 'SEC_CLI_STATS' },
  { name: 'CLIENT_CLOSED', note: 'the client leaves' },
  { name: 'SECM_SESSION_CLOSE' },
];

/** The whole page as Markdown. */
export function ipcDocs(): string {
  return `${[INTRODUCTION, sequence(), '## Messages', overview(), ...registry.map(section)].join('\n\n')}\n`;
}

const INTRODUCTION = `# IPC

<!-- Generated from src/core/ipc/messages.ts by src/core/ipc/docs.ts. Do not edit. -->

The three roles talk over unix stream sockets. Protocol version: ${IPC_VERSION}, exchanged in HELLO.

A frame is a u8 message number, the u32 length of the body, a u32 correlation and the body, all little-endian.
The correlation is 0 for one-way messages; a reply has that of its request. Fields follow each other in the order of
their declaration: integers as they are, booleans and enumerations as one byte (the index of the value), strings and
bytes with a u32 length before them, lists with a u32 count, optional values behind a byte 0 or 1.

Descriptors travel by SCM_RIGHTS with the first byte of their frame, which is sent by a sendmsg of its own.

What nobody waits for (HANDSHAKE, the first TUN_MTU of a tunnel, SECM_SESSION_ADDRESSES, SECM_LOGIN_STEPS) goes with the next message to the same
peer, or after ${LATER_MS} ms: waking a process costs more than a message. Messages of one connection keep their order.

The receiver checks, in this order: the message exists, its direction, that a reply answers a request and a request
has a correlation of its own, the size; then the number of descriptors, every bound of the body and that no byte is
left over; then the state of the client (*when*) and that a message for once has not come before. The first failure
closes the peer. It is logged and reported as OCS_IPC_VIOLATION, and it never ends the process.`;

function sequence(): string {
  const lines = SESSION.flatMap(arrows).map((line) => `  ${line}`);
  const roles = ['worker', 'main', 'secmod'].map((role) => `  participant ${role}`);
  return ['## One session', '', '```mermaid', 'sequenceDiagram', ...roles, ...lines, '```'].join('\n');
}

function arrows({ name, from, to, note, meanwhile = [] }: Step): string[] {
  const { spec, fds } = messageOf(name);
  const sender = from ?? single(spec.from);
  const receiver = to ?? single(spec.to);
  const result = note ? [`Note over ${sender}: ${note}`] : [];
  result.push(`${sender}->>${receiver}: ${name}${fds[1] > 0 ? ' + fd' : ''}`);
  result.push(...meanwhile.flatMap(arrows));
  if (spec.reply) {
    const reply = messageOf(spec.reply as MessageName);
    result.push(`${receiver}-->>${sender}: ${reply.name}${reply.fds[1] > 0 ? ' + fd' : ''}`);
  }
  return result;
}

function single(roles: Role | readonly Role[]): Role {
  if (typeof roles === 'string') return roles;
  throw new TypeError(`choose one of ${roles.join(', ')}`);
}

function overview(): string {
  const rows = registry.map(
    ({ name, spec }) =>
      `| ${spec.id} | [${name}](#${name.toLowerCase()}) | ${direction(spec.from, spec.to)} | ${spec.reply ?? ''} |`,
  );
  return ['| no. | message | direction | reply |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function section(message: RegisteredMessage): string {
  const { name, spec } = message;
  const parts = [`### ${name}`, spec.doc, properties(message)];
  if (Object.keys(spec.body).length > 0) parts.push(fieldTable(spec.body, new Set(spec.secret)));
  return parts.filter((part) => part !== '').join('\n\n');
}

function properties({ spec, maxBytes, fds }: RegisteredMessage): string {
  const facts = [
    `no. ${spec.id}`,
    direction(spec.from, spec.to),
    spec.isReply ? 'a reply' : spec.reply ? `answered by ${spec.reply}` : 'one-way',
    `at most ${size(maxBytes)}`,
  ];
  if (fds[1] > 0) facts.push(`descriptors: ${fds[0] === fds[1] ? fds[0] : fds.join(' to ')}`);
  if (spec.when) facts.push(`when the client is ${spec.when.join(' or ')}`);
  if (spec.once) facts.push('once per client');
  return facts.join(' · ');
}

function direction(from: Role | readonly Role[], to: Role | readonly Role[]): string {
  return `${[from].flat().join(', ')} → ${[to].flat().join(', ')}`;
}

function size(bytes: number): string {
  return bytes >= 1 << 20 ? `${bytes / (1 << 20)} MiB` : `${bytes / 1024} KiB`;
}

function fieldTable(fields: Fields, secrets: ReadonlySet<string>): string {
  return ['| field | type |', '| --- | --- |', ...fieldRows(fields, secrets, '')].join('\n');
}

function fieldRows(fields: Fields, secrets: ReadonlySet<string>, prefix: string): string[] {
  return Object.entries(fields).flatMap(([key, field]) => {
    const path = `${prefix}${key}`;
    const mark = secrets.has(key) ? ' (secret)' : '';
    const nested = structIn(field);
    const row = `| ${path} | ${typeName(field)}${mark} |`;
    return nested ? [row, ...fieldRows(nested, secrets, `${path}.`)] : [row];
  });
}

function structIn(field: FieldSpec): Fields | null {
  if (field.kind === 'struct') return field.fields;
  return field.kind === 'opt' || field.kind === 'list' ? structIn(field.of) : null;
}

function typeName(field: FieldSpec): string {
  switch (field.kind) {
    case 'str':
      return `str ≤ ${field.max}`;
    case 'bytes':
      return field.min === field.max ? `bytes ${field.min}` : `bytes ${field.min} to ${field.max}`;
    case 'enum':
      return field.values.map((value) => `\`${value}\``).join(' ');
    case 'opt':
      return `optional ${typeName(field.of)}`;
    case 'list':
      return `list ≤ ${field.max} of ${typeName(field.of)}`;
    default:
      return field.kind;
  }
}
