/** Secret fields: hidden in logs, overwritten after use. */
import type { RawBody } from './codec.js';
import type { MessageName } from './messages.js';
import { messageOf } from './registry.js';

const MAX_TEXT = 64;
const MAX_ELEMENTS = 8;

/**
 * The body for a log line: secret fields show only their size, byte strings hexadecimal, long values are cut.
 */
export function describe(name: MessageName, body: object): Record<string, unknown> {
  const secrets = new Set(messageOf(name).spec.secret);
  return describeObject(body, secrets);
}

/** Overwrites the byte strings of secret fields at every depth with zeros. */
export function wipeSecrets(name: MessageName, body: object): void {
  const { secret } = messageOf(name).spec;
  if (secret) wipeFields(body, new Set(secret));
}

function describeObject(body: object, secrets: ReadonlySet<string>): Record<string, unknown> {
  const entries = Object.entries(body).map(([key, value]) => [
    key,
    secrets.has(key) ? redacted(value) : describeValue(value, secrets),
  ]);
  return Object.fromEntries(entries);
}

function redacted(value: unknown): string | null {
  if (value === null) return null;
  const size = value instanceof Uint8Array || typeof value === 'string' ? ` ${value.length}` : '';
  return `[secret${size}]`;
}

function describeValue(value: unknown, secrets: ReadonlySet<string>): unknown {
  if (value instanceof Uint8Array) return cut(Buffer.from(value.subarray(0, MAX_TEXT)).toString('hex'));
  if (typeof value === 'string') return cut(value);
  if (Array.isArray(value)) {
    const shown = value.slice(0, MAX_ELEMENTS).map((element) => describeValue(element, secrets));
    return value.length > MAX_ELEMENTS ? [...shown, `… ${value.length - MAX_ELEMENTS} more`] : shown;
  }
  if (typeof value === 'object' && value !== null) return describeObject(value, secrets);
  return value;
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

function wipeFields(value: unknown, secrets: ReadonlySet<string>): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  for (const [key, field] of Object.entries(value as RawBody)) {
    if (secrets.has(key) && field instanceof Uint8Array) field.fill(0);
    else wipeFields(field, secrets);
  }
}
