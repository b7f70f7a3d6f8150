/**
 * docs/schema/*.json: what `vpn ctl … --json` prints, one JSON Schema per verb, from the table of verbs. A test
 * compares the files with these texts; `vitest run test/unit/ctl-schema.test.ts -u` writes them anew.
 */
import { jsonSchema } from './shape.js';
import { PROTOCOL_VERSION, type VerbName, verbs } from './verbs.js';

/** The schema of a verb's result; its $id carries the version of the protocol. */
export function verbSchema(verb: VerbName): Record<string, unknown> {
  const { doc, result, stream } = verbs[verb];
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `urn:ocvpn:ctl:v${PROTOCOL_VERSION}:${verb}`,
    title: `vpn ctl: ${verb}${stream ? ' (each line)' : ''}`,
    ...jsonSchema(result),
    description: doc,
  };
}
