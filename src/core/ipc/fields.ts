/**
 * Field builders for IPC messages: plain data that the codec, the redactor, the documentation and the
 * property-test generators walk. `T` is a phantom that gives the static type.
 */

export type FieldSpec =
  | { kind: 'u8' | 'u16' | 'u32' | 'u64' | 'bool' }
  | { kind: 'str'; max: number }
  | { kind: 'bytes'; min: number; max: number }
  | { kind: 'enum'; values: readonly string[] }
  | { kind: 'opt'; of: FieldSpec }
  | { kind: 'list'; of: FieldSpec; max: number }
  | { kind: 'struct'; fields: Readonly<Record<string, FieldSpec>> };

declare const type: unique symbol;
export type Field<T> = FieldSpec & { readonly [type]?: T };
export type Fields = Readonly<Record<string, Field<unknown>>>;
export type TypeOf<F> = F extends Field<infer T> ? T : never;
export type BodyOf<F extends Fields> = { -readonly [K in keyof F]: TypeOf<F[K]> };

export const u8 = (): Field<number> => ({ kind: 'u8' });
export const u16 = (): Field<number> => ({ kind: 'u16' });
export const u32 = (): Field<number> => ({ kind: 'u32' });
/** A count up to 2^53 − 1 (8 bytes on the wire; larger values are refused). */
export const u64 = (): Field<number> => ({ kind: 'u64' });
export const bool = (): Field<boolean> => ({ kind: 'bool' });
/** UTF-8 text of at most `max` bytes. */
export const str = (max: number): Field<string> => ({ kind: 'str', max });
/** Byte string of `min`..`max` bytes; `bytes(n)` is exactly n. */
export const bytes = (min: number, max: number = min): Field<Uint8Array> => ({ kind: 'bytes', min, max });
export const oneOf = <const V extends readonly string[]>(...values: V): Field<V[number]> => ({
  kind: 'enum',
  values,
});
/** Absent is null. */
export const opt = <T>(of: Field<T>): Field<T | null> => ({ kind: 'opt', of });
export const list = <T>(of: Field<T>, max: number): Field<T[]> => ({ kind: 'list', of, max });
export const struct = <F extends Fields>(fields: F): Field<BodyOf<F>> =>
  ({ kind: 'struct', fields }) as Field<BodyOf<F>>;
/** Textual IP address. */
export const ip = (): Field<string> => str(45);
/** Seconds since the epoch. */
export const unixSecs = (): Field<number> => u64();
