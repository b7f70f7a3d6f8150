/** Which names the tun devices of sessions get, with a kernel that knows what is taken. */
import { expect, test } from 'vitest';
import { DeviceNames } from '../../src/core/main/device-names.js';

/** Devices by name, and what was asked of the kernel. */
class Kernel {
  readonly devices = new Set<string>();
  readonly asked: string[] = [];
  full = false;

  readonly open = (pattern: string): { name: string } => {
    this.asked.push(pattern);
    let name = pattern;
    for (let number = 0; pattern.endsWith('%d') && (name === pattern || this.devices.has(name)); number++)
      name = pattern.replace('%d', `${number}`);
    if (this.full || this.devices.has(name)) throw new Error('EBUSY');
    this.devices.add(name);
    return { name };
  };
}

function making(kernel: Kernel, names = new DeviceNames('vpns')) {
  const take = (): string => names.open(kernel.open).name;
  const end = (name: string): void => {
    kernel.devices.delete(name);
    names.release(name);
  };
  return { names, take, end };
}

test('names are counted up, and used again when their device is gone', () => {
  const kernel = new Kernel();
  const { take, end } = making(kernel);
  expect([take(), take(), take()]).toEqual(['vpns0', 'vpns1', 'vpns2']);
  end('vpns1');
  expect([take(), take()]).toEqual(['vpns1', 'vpns3']);
  expect(kernel.asked).not.toContain('vpns%d');
});

test('what others have is passed over once, not at each login', () => {
  const kernel = new Kernel();
  for (let number = 0; number < 50; number++) kernel.devices.add(`vpns${number}`);
  const { take } = making(kernel);
  expect([take(), take(), take()]).toEqual(['vpns50', 'vpns51', 'vpns52']);
  expect(kernel.asked.filter((name) => name === 'vpns%d')).toHaveLength(1);
});

test('a device that is still there when its number is free again does not hold up anybody', () => {
  const kernel = new Kernel();
  const { names, take } = making(kernel);
  take();
  names.release('vpns0');
  expect(take()).toBe('vpns1');
  kernel.devices.delete('vpns0');
  names.release('vpns1');
  expect(take()).toBe('vpns0');
});

test('devices of another form leave no number, and a failure loses none', () => {
  const kernel = new Kernel();
  const { names, take } = making(kernel);
  for (const name of ['other7', 'vpns', 'vpns1x', 'vpns12345678901']) names.release(name);
  kernel.full = true;
  expect(take).toThrow('EBUSY');
  kernel.full = false;
  expect(take()).toBe('vpns0');
});
