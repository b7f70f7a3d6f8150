/**
 * Look-ups over the message declarations, and their consistency check, which runs once at load: a wrong table
 * must not start.
 */
import type { FieldSpec, Fields } from './fields.js';
import { type MessageName, type MessageSpec, messages, type Role } from './messages.js';

export interface RegisteredMessage {
  readonly name: MessageName;
  readonly spec: MessageSpec;
  readonly maxBytes: number;
  /** Fewest and most descriptors. */
  readonly fds: readonly [number, number];
  /** `FROM TO` of the roles between which it may go. */
  readonly ways: ReadonlySet<string>;
}

/** Both ends say it in HELLO and must agree; raised with every incompatible change of messages.ts. */
export const IPC_VERSION = 3;
const DEFAULT_MAX_BYTES = 16 * 1024;

export const registry: readonly RegisteredMessage[] = Object.entries(messages).map(([name, spec]) =>
  register(name as MessageName, spec),
);
const byName = new Map(registry.map((message) => [message.name, message]));
const byId = new Map(registry.map((message) => [message.spec.id, message]));
validate();

/** The declaration of a message by name. */
export function messageOf(name: MessageName): RegisteredMessage {
  const found = byName.get(name);
  if (!found) throw new TypeError(`no message ${name}`);
  return found;
}

/** The declaration by its number on the wire; undefined when there is none. */
export function messageById(id: number): RegisteredMessage | undefined {
  return byId.get(id);
}

/** Whether `from` may send this message to `to`. */
export function allowedBetween({ ways }: RegisteredMessage, from: Role, to: Role): boolean {
  return ways.has(`${from} ${to}`);
}

/** Size of the largest body that `from` may send to `to`, bytes. */
export function largestBody(from: Role, to: Role): number {
  const sizes = registry
    .filter((message) => allowedBetween(message, from, to))
    .map(({ maxBytes }) => maxBytes);
  return Math.max(0, ...sizes);
}

function register(name: MessageName, spec: MessageSpec): RegisteredMessage {
  const range = spec.fds ?? 0;
  return {
    name,
    spec,
    maxBytes: spec.maxBytes ?? DEFAULT_MAX_BYTES,
    fds: typeof range === 'number' ? [range, range] : range,
    ways: new Set([spec.from].flat().flatMap((from) => [spec.to].flat().map((to) => `${from} ${to}`))),
  };
}

function validate(): void {
  if (byId.size !== registry.length) throw new TypeError('two messages share an id');
  for (const { name, spec, fds } of registry) {
    const complain = (what: string) => {
      throw new TypeError(`message ${name}: ${what}`);
    };
    if (spec.id < 1 || spec.id > 255) complain('id is not in 1..255');
    if (fds[1] > 8) complain('more than 8 descriptors');
    if (spec.reply && !isReply(spec.reply)) complain(`reply ${spec.reply} is not declared as one`);
    if (spec.reply && spec.isReply) complain('a reply cannot have a reply');
    if ((spec.when || spec.once) && spec.body.client?.kind !== 'u32')
      complain('when/once need a client field');
    for (const secret of spec.secret ?? []) {
      if (!hasField(spec.body, secret)) complain(`secret field ${secret} does not exist`);
    }
  }
}

function isReply(name: string): boolean {
  return byName.get(name as MessageName)?.spec.isReply === true;
}

/** Whether a field of this name exists at any depth. */
function hasField(fields: Fields, name: string): boolean {
  return Object.entries(fields).some(([key, field]) => key === name || nestedHas(field, name));
}

function nestedHas(field: FieldSpec, name: string): boolean {
  if (field.kind === 'struct') return hasField(field.fields, name);
  return (field.kind === 'opt' || field.kind === 'list') && nestedHas(field.of, name);
}
