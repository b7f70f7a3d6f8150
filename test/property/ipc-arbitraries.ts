/** Generators of IPC bodies, derived from the field declarations. */
import fc from 'fast-check';
import type { RawBody } from '../../src/core/ipc/codec.js';
import type { FieldSpec, Fields } from '../../src/core/ipc/fields.js';

/** Long fields are not filled: 4096-byte strings prove no more than 64-byte ones. */
const MAX_GENERATED = 64;

export function bodyOf(fields: Fields): fc.Arbitrary<RawBody> {
  const entries = Object.entries(fields).map(([key, field]) => [key, arbitraryOf(field)]);
  return fc.record(Object.fromEntries(entries) as Record<string, fc.Arbitrary<unknown>>, {
    noNullPrototype: true,
  });
}

export function arbitraryOf(field: FieldSpec): fc.Arbitrary<unknown> {
  switch (field.kind) {
    case 'u8':
      return fc.integer({ min: 0, max: 0xff });
    case 'u16':
      return fc.integer({ min: 0, max: 0xffff });
    case 'u32':
      return fc.integer({ min: 0, max: 0xffff_ffff });
    case 'u64':
      return fc.maxSafeNat();
    case 'bool':
      return fc.boolean();
    case 'enum':
      return fc.constantFrom(...field.values);
    case 'str':
      return fc
        .string({ unit: 'binary', maxLength: Math.min(field.max, MAX_GENERATED) })
        .filter((text) => Buffer.byteLength(text) <= field.max);
    case 'bytes':
      return fc
        .uint8Array({
          minLength: field.min,
          maxLength: Math.max(field.min, Math.min(field.max, MAX_GENERATED)),
        })
        .map((bytes) => Buffer.from(bytes));
    case 'opt':
      return fc.option(arbitraryOf(field.of));
    case 'list':
      return fc.array(arbitraryOf(field.of), { maxLength: Math.min(field.max, 4) });
    case 'struct':
      return bodyOf(field.fields);
  }
}
