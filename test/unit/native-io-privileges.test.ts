import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const addon = fileURLToPath(new URL('../../native/build/Release/ocvpn.node', import.meta.url));
const NOBODY = 65534;

/** A process that evaluates `code`, prints one line of JSON and then waits for its standard input to end. */
async function run(code: string) {
  const script = `
    const { io } = require(${JSON.stringify(addon)});
    const failure = (action) => { try { action(); return null; } catch (error) { return error.code ?? error.message; } };
    // Threads that exist before the change must follow it.
    require('node:fs').stat('/', () => {
      console.log(JSON.stringify((() => { ${code} })()));
      process.stdin.resume();
    });`;
  const child = spawn(process.execPath, ['--disable-sigusr1', '-e', script], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  return { child, result: JSON.parse(line as string) };
}

/** The status files of every thread as key → value. */
function threads(pid: number): Map<string, string>[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const lines = readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8').split('\n');
    return new Map(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
  });
}

test('every thread loses ids, groups and capabilities, for good', async () => {
  const { child, result } = await run(`
    io.dropPrivileges({ uid: ${NOBODY}, gid: ${NOBODY}, lockdown: true });
    return [failure(() => process.setuid(0)), failure(() => process.setgid(0)), process.getgroups()];`);
  expect(result).toEqual(['EPERM', 'EPERM', [NOBODY]]);
  const all = threads(child.pid as number);
  expect(all.length).toBeGreaterThan(4);
  const none = '0000000000000000';
  const ids = Array(4).fill(NOBODY).join('\t');
  for (const status of all) {
    const sets = ['CapPrm', 'CapEff', 'CapAmb', 'CapBnd', 'NoNewPrivs', 'Uid', 'Gid', 'Groups'].map((key) =>
      status.get(key)?.trim(),
    );
    expect(sets).toEqual([none, none, none, none, '1', ids, ids, '']);
  }
  child.stdin.end();
  await once(child, 'exit');
});

test('a user is changed with the capabilities that are named', async () => {
  const { child, result } = await run(`
    io.dropPrivileges({ uid: ${NOBODY}, gid: ${NOBODY}, lockdown: false, nonDumpable: true, keepsCapabilities: true });
    io.keepCapabilities([1]);
    return [failure(() => process.setuid(0)), require('node:fs').readFileSync('/etc/shadow').length > 0];`);
  expect(result).toEqual(['EPERM', true]);
  for (const status of threads(child.pid as number)) {
    expect(status.get('CapEff')).toBe('0000000000000002');
    expect(status.get('Uid')).toBe(Array(4).fill(NOBODY).join('\t'));
  }
  child.stdin.end();
  await once(child, 'exit');
});

test('every thread keeps only the capabilities that are named; what root executes has them all again', async () => {
  const { child, result } = await run(`
    io.keepCapabilities([0, 12]);
    const text = require('node:child_process').execFileSync('grep', ['CapEff', '/proc/self/status'], { encoding: 'utf8' });
    return [failure(() => io.keepCapabilities([64])), failure(() => process.setuid(${NOBODY})), /[1-9a-f]{5}/.test(text)];`);
  expect(result).toEqual(['ERR_INVALID_ARG_VALUE', 'EPERM', true]);
  for (const status of threads(child.pid as number)) expect(status.get('CapEff')).toBe('0000000000001001');
  child.stdin.end();
  await once(child, 'exit');
});

test('limits are lowered for good, never raised', async () => {
  const { child, result } = await run(`
    io.limitResources(300);
    io.limitResources(400);
    return failure(() => io.limitResources(1));`);
  expect(result).toBe('ERR_INVALID_ARG_VALUE');
  const limits = readFileSync(`/proc/${child.pid}/limits`, 'utf8');
  expect(limits).toMatch(/^Max open files +300 +300 /m);
  expect(limits).toMatch(/^Max core file size +0 +0 /m);
  child.stdin.end();
  await once(child, 'exit');
});

test('memory is limited to so much more than there is', async () => {
  const { child, result } = await run(`
    io.limitMemory(256 << 20);
    const grow = (mebibytes) => new ArrayBuffer(mebibytes << 20).byteLength >> 20;
    return [grow(100), failure(() => grow(300)), grow(100), failure(() => io.limitMemory(1))];`);
  expect(result).toEqual([100, 'Array buffer allocation failed', 100, 'ERR_INVALID_ARG_VALUE']);
  expect(readFileSync(`/proc/${child.pid}/limits`, 'utf8')).toMatch(/^Max data size +(\d+) +\1 /m);
  child.stdin.end();
  await once(child, 'exit');
});

test.each([true, false])(
  'secmod starts programs and has a network only if it needs them: %s',
  async (needed) => {
    const { child, result } = await run(`
    io.filterSecmodCalls({ exec: ${needed}, network: ${needed} });
    const { execFileSync } = require('node:child_process');
    return [
      failure(() => execFileSync('/bin/true')),
      failure(() => io.close(io.bindUdp('127.0.0.1', 0))),
      failure(() => io.setNetworkNamespace(0)),
      failure(() => require('node:fs').readFileSync('/etc/passwd')),
    ];`);
    const outcome = needed ? null : 'EPERM';
    expect(result).toEqual([outcome, outcome, 'EPERM', null]);
    child.stdin.end();
    await once(child, 'exit');
  },
);

test('Landlock closes the files in every thread, and what is open stays so', async () => {
  const { child, result } = await run(`
    const fs = require('node:fs');
    const open = fs.openSync('/etc/passwd');
    io.dropPrivileges({ uid: ${NOBODY}, gid: ${NOBODY}, lockdown: true });
    io.denyFilesAndNetwork();
    return [io.landlockVersion() > 0, failure(() => fs.openSync('/etc/passwd')), fs.readSync(open, Buffer.alloc(4))];`);
  const [available, opened, read] = result;
  expect([opened, read]).toEqual([available ? 'EACCES' : null, 4]);
  child.stdin.end();
  await once(child, 'exit');
});

test('lockdown as root, or without the right to change, is refused', async () => {
  const { child, result } = await run(`
    const asRoot = failure(() => io.dropPrivileges({ lockdown: true }));
    io.dropPrivileges({ uid: ${NOBODY}, gid: ${NOBODY}, lockdown: false });
    const back = failure(() => io.dropPrivileges({ uid: 0, lockdown: false }));
    const again = failure(() => io.dropPrivileges({ lockdown: true }));
    return { asRoot, back, again };`);
  expect(result).toEqual({ asRoot: 'EINVAL', back: 'EPERM', again: null });
  child.stdin.end();
  await once(child, 'exit');
});

test('the process is not dumpable: its /proc files belong to root', async () => {
  const { child, result } = await run(`
    io.dropPrivileges({ uid: ${NOBODY}, gid: ${NOBODY}, lockdown: true });
    return [failure(() => require('node:fs').readFileSync('/proc/self/mem')), require('node:fs').statSync('/proc/self/mem').uid];`);
  expect(result).toEqual(['EACCES', 0]);
  child.stdin.end();
  await once(child, 'exit');
});

test('the parent-death signal arrives although the ids change', async () => {
  // run() → middle process → the process under test; the middle one dies.
  const inner = `
    const { io } = require(${JSON.stringify(addon)});
    io.dropPrivileges({ uid: ${NOBODY}, gid: ${NOBODY}, lockdown: true, parentDeathSignal: 15 });
    process.on('SIGTERM', () => { console.log('parent died'); process.exit(); });
    console.log(process.pid);
    setInterval(() => {}, 1000);`;
  const middle = spawn(
    process.execPath,
    [
      '-e',
      `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(inner)}], { stdio: 'inherit' });`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const lines = createInterface(middle.stdout);
  await once(lines, 'line');
  const last = once(lines, 'line');
  middle.kill('SIGKILL');
  expect((await last)[0]).toBe('parent died');
});
