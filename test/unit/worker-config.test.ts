import { describe, expect, it } from 'vitest';
import {
  type OptionName,
  options,
  type ServerConfig,
  type VhostConfig,
} from '../../src/core/config/schema.js';
import { parseWorkerConfig, workerConfig, workerOptionNames } from '../../src/core/config/worker-config.js';
import { parseWorkerArguments } from '../../src/core/worker/arguments.js';

const vhost = (name: string, changes: object = {}): VhostConfig => {
  const defaults = Object.entries(options).map(([option, spec]) => [option, spec.default]);
  return { name, ...Object.fromEntries(defaults), ...changes } as VhostConfig;
};

describe('worker config', () => {
  const config: ServerConfig = {
    source: null,
    default: vhost('default', { auth: ['plain[passwd=/etc/secret-place]'], 'server-key': ['/etc/key.pem'] }),
    vhosts: new Map([['b.example', vhost('b.example', { 'rekey-time': 5 })]]),
  };

  it('has exactly the options that the schema marks for workers', () => {
    const marked = (Object.keys(options) as OptionName[]).filter((name) =>
      (options[name].for as readonly string[]).includes('worker'),
    );
    expect([...workerOptionNames].sort()).toEqual(marked.sort());
  });

  it('arrives as it was sent, the default vhost first', () => {
    const parsed = parseWorkerConfig(workerConfig(config, { uid: 65534, gid: null, generation: 3 }));
    expect(parsed).toMatchObject({ uid: 65534, gid: null, generation: 3 });
    expect(parsed.vhosts.map(({ name }) => name)).toEqual(['default', 'b.example']);
    expect(parsed.vhosts[1]?.['rekey-time']).toBe(5);
  });

  it('tells a worker no path of secrets', () => {
    expect(workerConfig(config, { uid: 0, gid: 0, generation: 0 })).not.toMatch(/secret-place|key\.pem/);
  });

  it.each([
    ['no vhost', '{"vhosts":[]}'],
    ['a missing option', '{"vhosts":[{"name":"default"}]}'],
    [
      'a wrong type',
      workerConfig(config, { uid: 0, gid: 0, generation: 0 }).replace(
        '"rekey-time":172800',
        '"rekey-time":"1"',
      ),
    ],
  ])('refuses %s', (_, json) =>
    expect(() => parseWorkerConfig(json)).toThrow(/OCS_CONFIG|Option|virtual host/),
  );
});

describe('arguments', () => {
  it('reads them', () => {
    expect(parseWorkerArguments(['--main', '/run/main.sock'])).toEqual({
      mainPath: '/run/main.sock',
      fd: null,
      logLevel: 2,
    });
    expect(parseWorkerArguments(['--main=/m', '--fd=5'])).toEqual({ mainPath: '/m', fd: 5, logLevel: 2 });
    expect(parseWorkerArguments(['--main=/m', '-d', '4']).logLevel).toBe(4);
  });
  it.each([
    [[]],
    [['--fd', '3']],
    [['--main', '/m', '--fd', '2']],
    [['--main', '/m', '--fd', 'x']],
    [['--main', '/m', 'more']],
    [['--main', '/m', '--log-level', 'much']],
    [['--what']],
  ])('refuses %j', (argv) => expect(() => parseWorkerArguments(argv)).toThrow(/vpn worker: .* Usage:/));
});
