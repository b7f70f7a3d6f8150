/** Configurations at random: a round trip through the formats changes nothing, and no text makes the readers fail. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { build, readValues } from '../../src/core/config/build.js';
import { convert } from '../../src/core/config/convert.js';
import { parseData } from '../../src/core/config/data-file.js';
import type { Document } from '../../src/core/config/document.js';
import { mapPriority } from '../../src/core/config/gnutls-priority.js';
import { parseConf } from '../../src/core/config/ocserv-conf.js';
import { type OptionName, type OptionSpec, options } from '../../src/core/config/schema.js';
import { VpnError } from '../../src/core/errors.js';

const isVerbatim = (option: string): boolean => option === 'included-http-headers';
const readConf = (text: string): Document => parseConf(text, { isVerbatim });

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
/** Texts with everything that quoting and comments have to cope with; ocserv's format has no way to say the rest. */
const phrase = fc
  .array(fc.constantFrom('a', 'Z', '7', ' ', ';', '#', '"', '=', ':', '[', ']', 'ü', '%{U}', '\\'), {
    maxLength: 12,
  })
  .map((parts) => parts.join('').trim())
  .filter((text) => !text.startsWith('"') && !(/(?:^|\s)[;#]/.test(text) && text.includes('"')));
const ip = fc.constantFrom('10.1.2.3', '192.0.2.1', 'fd00::1');
const path = fc.constantFrom('/etc/x.pem', './relative', '/with a/blank', '/with#hash');
const byFormat: Record<NonNullable<OptionSpec['format']>, fc.Arbitrary<string>> = {
  address: ip,
  'listen-address': fc.constantFrom('127.0.0.1:9467', '[::1]:1', '/run/m.sock'),
  auth: fc.constantFrom(
    'plain[passwd=/a b,otp=/c]',
    'pam',
    'radius[config=/r.conf,groupconfig=true]',
    'plain[/x]',
  ),
  'camouflage-secret': word,
  'certificate-name': fc.constantFrom('2.5.4.3', 'SAN(rfc822name)'),
  device: word,
  directory: path,
  domain: fc.constantFrom('example.com', 'a.b.c', 'bücher.example'),
  domains: fc.constantFrom('example.com', 'example.com one.example.com'),
  file: path,
  'group-option': fc.constantFrom('staff', 'tech[Technical people]', 'a b[ c ]'),
  header: fc.constantFrom('X-A: b', 'X-A: "b"', 'X-B: c; d=e', 'X-C:'),
  host: fc.constantFrom('127.0.0.1', 'vpn.example.com', '::1'),
  ipv4: fc.constant('10.9.8.7'),
  ipv6: fc.constant('fd00::7'),
  kkdcp: fc.constant('/KdcProxy REALM tcp@[::1]:88'),
  network: fc.constantFrom('10.0.0.0/8', '172.16.0.0/255.240.0.0', 'fd00::/64'),
  path,
  ports: fc.constantFrom('tcp(443), udp(53), icmp()', '!(tcp(25))'),
  program: path,
  route: fc.constantFrom('default', '10.0.0.0/8'),
  url: fc.constant('http://proxy.example/%{U}/'),
};

function textOf(spec: OptionSpec): fc.Arbitrary<string> {
  if (spec.values) return fc.constantFrom(...spec.values);
  return spec.format
    ? byFormat[spec.format]
    : phrase.filter((text) => Buffer.byteLength(text) <= (spec.max ?? 99));
}

function anyValue(spec: OptionSpec): fc.Arbitrary<unknown> {
  if (spec.type === 'boolean') return fc.boolean();
  if (spec.type === 'number') return fc.integer({ min: spec.min ?? 0, max: spec.max ?? 2 ** 31 });
  if (spec.type === 'string') return textOf(spec);
  return fc.array(textOf(spec), { minLength: 1, maxLength: Math.min(3, spec.max ?? 3) });
}

const settable = (Object.entries(options) as [OptionName, OptionSpec][]).filter(
  ([, spec]) => spec.support?.level !== 'refused' && !spec.userFileOnly,
);
const section = (global: boolean): fc.Arbitrary<Record<string, unknown>> =>
  fc.record(
    Object.fromEntries(
      settable
        .filter(([, { scope }]) => global || scope !== 'global')
        .map(([name, spec]) => [name, anyValue(spec)]),
    ),
    { requiredKeys: [] },
  );
const document = fc.record({
  own: section(true),
  vhosts: fc.uniqueArray(fc.tuple(word, section(false)), { maxLength: 2, selector: ([name]) => name }),
});

/** As a file of ocserv would say it. */
function confOf({
  own,
  vhosts,
}: {
  own: Record<string, unknown>;
  vhosts: [string, Record<string, unknown>][];
}) {
  const yaml = JSON.stringify({ ...own, 'tcp-port': own['tcp-port'] ?? 443 });
  const main = convert(parseData(yaml, 'json'), 'test', 'conf');
  const others = vhosts
    .filter(([name]) => name !== 'default')
    .map(([name, values]) => `[vhost:${name}]\n${Object.keys(values).length ? linesOf(values) : ''}`);
  return [main, ...others].join('\n');
}

function linesOf(values: Record<string, unknown>): string {
  return Object.entries(values)
    .flatMap(([option, value]) => (Array.isArray(value) ? value : [value]).map((item) => line(option, item)))
    .join('\n');
}

const line = (option: string, value: unknown): string =>
  /\s;|^$/.test(String(value)) && !isVerbatim(option) ? `${option} = "${value}"` : `${option} = ${value}`;

const meaning = (source: Document) => readValues(source, 'test').map(({ config }) => config);

describe('a round trip', () => {
  test('ocserv.conf, YAML and back means the same', () => {
    fc.assert(
      fc.property(document, (values) => {
        const conf = readConf(confOf(values));
        const yaml = parseData(convert(conf, 'test', 'yaml'), 'yaml');
        const back = readConf(convert(yaml, 'test', 'conf'));
        expect(meaning(yaml)).toEqual(meaning(conf));
        expect(meaning(back)).toEqual(meaning(conf));
      }),
      { numRuns: 40 },
    );
  });

  test('so does JSON, and converting twice changes no letter', () => {
    fc.assert(
      fc.property(document, (values) => {
        const conf = readConf(confOf(values));
        const json = parseData(convert(conf, 'test', 'json'), 'json');
        expect(meaning(json)).toEqual(meaning(conf));
        const once = convert(json, 'test', 'yaml');
        expect(convert(parseData(once, 'yaml'), 'test', 'yaml')).toBe(once);
      }),
      { numRuns: 20 },
    );
  });
});

describe('any text', () => {
  const anyText = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc
      .array(
        fc.constantFrom(
          '[vhost:a]',
          'auth = "',
          'route=10.0.0.0/8',
          '=',
          ':',
          ' ; x',
          '\n',
          '  ',
          '\t',
          'dns',
        ),
        {
          maxLength: 40,
        },
      )
      .map((parts) => parts.join('')),
  );

  test('makes a configuration or errors of the catalogue, never anything else', () => {
    fc.assert(
      fc.property(anyText, fc.constantFrom('conf', 'yaml', 'json'), (text, format) => {
        const parsed =
          format === 'conf' ? readConf(text) : parseData(text, format === 'json' ? 'json' : 'yaml');
        try {
          build(parsed, {}, 'test');
        } catch (error) {
          expect(error).toBeInstanceOf(VpnError);
          expect((error as VpnError).message).not.toContain('undefined');
        }
      }),
      { numRuns: 300 },
    );
  });

  test('of a priority string makes settings or a sentence', () => {
    const token = fc.constantFrom(
      'NORMAL',
      'SECURE256',
      '+AES-128-GCM',
      '-VERS-ALL',
      '%X',
      '!',
      '+',
      '',
      '@S',
      '-CIPHER-ALL',
    );
    const priorities = fc.array(fc.oneof(token, fc.string({ maxLength: 9 })), { maxLength: 8 });
    fc.assert(
      fc.property(priorities, (words) => {
        const settings = mapPriority(words.join(':'));
        if (typeof settings !== 'string') expect(settings.cipherList + settings.cipherSuites).not.toBe('');
      }),
    );
  });
});
