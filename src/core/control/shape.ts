/**
 * Shapes of the control verbs' results, as data: TypeScript types and JSON Schemas derive from the same
 * declaration.
 */
export interface Shape<T = unknown> {
  readonly kind: 'integer' | 'number' | 'string' | 'boolean' | 'array' | 'object' | 'one-of';
  readonly doc: string;
  readonly nullable?: boolean;
  readonly items?: Shape;
  readonly fields?: Readonly<Record<string, Shape>>;
  readonly values?: readonly string[];
  readonly [type]?: T;
}
declare const type: unique symbol;

export type Of<S> = S extends Shape<infer T> ? T : never;
type Fields = Readonly<Record<string, Shape>>;

export const int = (doc = ''): Shape<number> => ({ kind: 'integer', doc });
export const number = (doc = ''): Shape<number> => ({ kind: 'number', doc });
export const text = (doc = ''): Shape<string> => ({ kind: 'string', doc });
export const flag = (doc = ''): Shape<boolean> => ({ kind: 'boolean', doc });
export const oneOf = <const V extends readonly string[]>(values: V, doc = ''): Shape<V[number]> => ({
  kind: 'one-of',
  doc,
  values,
});
export const list = <T>(items: Shape<T>, doc = ''): Shape<readonly T[]> => ({ kind: 'array', doc, items });
export const record = <const F extends Fields>(
  fields: F,
  doc = '',
): Shape<{ readonly [K in keyof F]: Of<F[K]> }> => ({ kind: 'object', doc, fields });
export const orNull = <T>(shape: Shape<T>, doc = shape.doc): Shape<T | null> => ({
  ...(shape as Shape<T | null>),
  doc,
  nullable: true,
});

type Json = Readonly<Record<string, unknown>>;

/** The shape as JSON Schema (draft 2020-12); unknown members are not allowed. */
export function jsonSchema(shape: Shape): Json {
  const { doc, nullable, kind } = shape;
  const about = doc === '' ? {} : { description: doc };
  const named = (name: string) => (nullable ? [name, 'null'] : name);
  switch (kind) {
    case 'one-of':
      return { ...about, enum: [...(shape.values ?? []), ...(nullable ? [null] : [])] };
    case 'array':
      return {
        ...about,
        type: named('array'),
        items: jsonSchema(shape.items ?? { kind: 'string', doc: '' }),
      };
    case 'object': {
      const fields = Object.entries(shape.fields ?? {});
      return {
        ...about,
        type: named('object'),
        properties: Object.fromEntries(fields.map(([name, field]) => [name, jsonSchema(field)])),
        required: fields.map(([name]) => name),
        additionalProperties: false,
      };
    }
    default:
      return { ...about, type: named(kind) };
  }
}
