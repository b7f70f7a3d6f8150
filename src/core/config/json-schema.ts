/** JSON Schema (draft 2020-12) of YAML and JSON configurations, for editors and other programs. */
import { type OptionName, type OptionSpec, options } from './schema.js';

/** The schema of a whole file. */
export function jsonSchema(): Record<string, unknown> {
  const entries = (Object.entries(options) as [OptionName, OptionSpec][]).filter(
    ([, { userFileOnly, support }]) => !userFileOnly && support?.level !== 'refused',
  );
  const inVhosts = entries.filter(([, { scope }]) => scope !== 'global');
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'ocvpn configuration',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...propertiesOf(entries),
      vhosts: {
        type: 'object',
        description:
          'Virtual hosts by the name that clients ask for (SNI). Each inherits what it does not set.',
        additionalProperties: {
          type: ['object', 'null'],
          additionalProperties: false,
          properties: propertiesOf(inVhosts),
        },
      },
    },
  };
}

function propertiesOf(entries: readonly (readonly [OptionName, OptionSpec])[]): Record<string, unknown> {
  const pairs = entries.flatMap(([name, spec]) => [
    [name, property(spec)],
    ...(spec.aliases ?? []).map((alias) => [alias, { ...property(spec), deprecated: true }]),
  ]);
  return Object.fromEntries(pairs);
}

function property(spec: OptionSpec): Record<string, unknown> {
  const { doc: description, default: value } = spec;
  const common = { description, default: value };
  switch (spec.type) {
    case 'boolean':
      return { type: 'boolean', ...common };
    case 'number':
      return { type: 'integer', ...common, ...limits('minimum', spec.min), ...limits('maximum', spec.max) };
    case 'string':
      return { type: 'string', ...common, ...(spec.values && { enum: spec.values }) };
    case 'list':
      return {
        oneOf: [
          { type: 'string' },
          { type: 'array', items: { type: 'string' }, ...limits('maxItems', spec.max) },
        ],
        ...common,
      };
  }
}

const limits = (keyword: string, limit: number | undefined): Record<string, number> =>
  limit === undefined ? {} : { [keyword]: limit };
