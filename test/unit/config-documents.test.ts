/** The generated files are fresh (write them with vitest -u), and what they say is so. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { build } from '../../src/core/config/build.js';
import { compatPage, manualPage, optionsPage, sampleConf } from '../../src/core/config/documents.js';
import { jsonSchema } from '../../src/core/config/json-schema.js';
import { parseConf } from '../../src/core/config/ocserv-conf.js';
import { options } from '../../src/core/config/schema.js';

test.each([
  ['docs/options.md', optionsPage],
  ['docs/compat.md', compatPage],
  ['man/vpn.conf.5', manualPage],
  ['etc/vpn.conf', sampleConf],
])('%s is what the schema says', async (path, make) => {
  await expect(make()).toMatchFileSnapshot(`../../${path}`);
});

test('the sample is a configuration without mistakes, and so is each of its comments', () => {
  const isVerbatim = (): boolean => false;
  const certificate = 'server-cert = /c\nserver-key = /k\n';
  const sample = parseConf(certificate + sampleConf(), { isVerbatim });
  expect(build(sample, {}, 'sample').notices).toEqual([]);
  const uncommented = sampleConf()
    .replaceAll(/^#([\w-]+ =)(.*\S.*)$/gm, '$1$2')
    .replaceAll(/^.* =$|^.* = ""$/gm, '');
  expect(build(parseConf(certificate + uncommented, { isVerbatim }), {}, 'sample').notices).toEqual([]);
});

test('every option is in both pages of documentation', () => {
  for (const name of Object.keys(options)) {
    expect(optionsPage()).toContain(`| \`${name}\` |`);
    expect(manualPage()).toContain(`.B ${name.replaceAll('-', '\\-')}\n`);
  }
});

test('the manual page has no mistakes that groff knows of', () => {
  const warnings = execFileSync('sh', ['-c', 'groff -man -Tutf8 -ww -z 2>&1'], {
    input: manualPage(),
    encoding: 'utf8',
  });
  expect(warnings).toBe('');
});

test('the JSON Schema has every option with its type, global ones not for virtual hosts', () => {
  const { properties } = jsonSchema() as { properties: Record<string, Record<string, unknown>> };
  expect(properties['tcp-port']).toMatchObject({ type: 'integer', minimum: 1, maximum: 65535, default: 443 });
  expect(properties['min-reauth-time']).toMatchObject({ deprecated: true });
  expect(Object.keys(properties)).not.toContain('listen-clear-file');
  expect(JSON.stringify(properties.vhosts)).toContain('"banner"');
  expect(JSON.stringify(properties.vhosts)).not.toContain('"tcp-port"');
});
