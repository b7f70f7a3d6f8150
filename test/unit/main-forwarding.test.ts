/** Kernel switches of forwarding, in a folder that stands for /proc/sys. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Forwarding } from '../../src/core/main/forwarding.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'main-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('Forwarding', () => {
  const V4 = 'net/ipv4/ip_forward';
  const V6 = 'net/ipv6/conf/all/forwarding';
  const RA = 'net/ipv6/conf/eth0/accept_ra';
  const get = (name: string) => readFileSync(join(dir, name), 'utf8');
  const put = (name: string, value: string) => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), value);
  };
  const make = (ipv6 = true) => new Forwarding({ runDir: dir, ipv4: true, ipv6, root: dir });
  beforeEach(() => {
    put(V4, '0\n');
    put(V6, '0\n');
    put(RA, '1\n');
    put('net/ipv6/conf/all/accept_ra', '0\n');
  });

  it('turns switches on and off again, and keeps router advertisements working', () => {
    const forwarding = make();
    forwarding.enable();
    expect([get(V4), get(V6), get(RA)]).toEqual(['1', '1', '2']);
    forwarding.restore();
    expect([get(V4), get(V6), get(RA)]).toEqual(['0', '0', '1']);
  });

  it('leaves alone what was on', () => {
    put(V4, '1\n');
    const forwarding = make();
    forwarding.enable();
    forwarding.restore();
    expect(get(V4).trim()).toBe('1');
  });

  it('does not touch IPv6 without an IPv6 pool', () => {
    make(false).enable();
    expect([get(V4), get(V6), get(RA).trim()]).toEqual(['1', '0\n', '1']);
  });

  it('remembers across a crash', () => {
    make().enable();
    const next = make();
    next.enable();
    next.restore();
    expect([get(V4), get(V6), get(RA)]).toEqual(['0', '0', '1']);
  });

  it('names what cannot be written, and leaves that alone at the end', () => {
    const module = join(import.meta.dirname, '../../dist/core/main/forwarding.js');
    const script = `const { Forwarding } = await import(${JSON.stringify(module)});
      const it = new Forwarding({ runDir: process.argv[1], ipv4: true, ipv6: true, root: process.argv[2] });
      console.log(JSON.stringify(it.enable()));
      it.restore();`;
    const root = join(dir, 'sys');
    const inRoot = (name: string, value: string) => put(`sys/${name}`, value);
    inRoot(V4, '1\n');
    inRoot(V6, '0\n');
    inRoot(RA, '1\n');
    inRoot('net/ipv6/conf/all/accept_ra', '0\n');
    const readOnly = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"';
    const node = [process.execPath, '--input-type=module', '-e', script, dir, root];
    const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', readOnly, root, ...node], {
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: '["net.ipv6.conf.all.forwarding=1"]\n', stderr: '' });
    expect([get(`sys/${V4}`), get(`sys/${V6}`), get(`sys/${RA}`)]).toEqual(['1\n', '0\n', '1\n']);
  });

  it('writes nothing but the known switches, whatever the saved state says', () => {
    put('forwarding.json', JSON.stringify({ '../../etc/passwd': '0', 'kernel/panic': '1' }));
    const forwarding = make();
    forwarding.enable();
    expect(() => forwarding.restore()).not.toThrow();
    expect(() => get('kernel/panic')).toThrow('ENOENT');
  });
});
