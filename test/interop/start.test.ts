/** `vpn serve` on the embedded default, as `npm start` runs it: what it prints works as it stands. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inside, type Lab, openLab, outside } from '../support/lab.ts';
import { Openconnect } from '../support/openconnect.ts';
import type { Companion } from '../support/process.ts';
import { ping } from '../support/traffic.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');
const PORT = 4443;

async function serve(lab: Lab): Promise<Companion> {
  const folders = ['--data-dir', `${lab.folder}/data`, '--run-dir', `${lab.folder}/run`];
  const command = [process.execPath, launcher, 'serve', ...folders, '--port', `${PORT}`];
  const server = lab.server.start('vpn', command);
  await server.waitFor(/vpn is ready[\s\S]*openconnect .*\n/, { timeoutMs: 60_000 });
  return server;
}

/** The openconnect line that the server printed, split into its words, with the outside address of the lab. */
function printedCommand(server: Companion): { args: string[]; password: string | undefined } {
  const line = /^.*\bopenconnect (--protocol.*)$/m.exec(server.output)?.[1] ?? '';
  const password = /^\s*echo '([^']*)' \|/m.exec(server.output)?.[1];
  const words = line.split(' ').slice(0, -1);
  return { args: words.filter((word) => word !== '--passwd-on-stdin'), password };
}

async function connectAsPrinted(lab: Lab, args: readonly string[], password: string): Promise<Openconnect> {
  const url = `https://${outside.server4}:${PORT}/`;
  const own = ['--passwd-on-stdin', '--non-inter', url];
  const client = new Openconnect(lab, lab.client(), [...args, ...own], `${password}\n`);
  await client.connected();
  return client;
}

test('the printed command connects, NAT reaches the net behind, a second start knows the user', async () => {
  const lab = await openLab();
  // Without a way back to the tunnel's addresses only NAT gets an answer.
  await lab.inner.ip('route del default', 'route del default via fd10::1');
  const first = await serve(lab);
  const { args, password } = printedCommand(first);
  expect(args).toEqual(expect.arrayContaining(['--servercert', expect.stringMatching(/^pin-sha256:/)]));
  expect(password).toBeDefined();

  const client = await connectAsPrinted(lab, args, password ?? '');
  expect(await ping(client.host, inside.host4)).toEqual({ sent: 5, received: 5 });
  expect(await ping(client.host, inside.host6)).toEqual({ sent: 5, received: 5 });
  expect(await lab.server.must(['nft', 'list', 'tables'])).toContain('ocvpn_');

  expect((await first.stop('SIGTERM', 10_000)).code).toBe(0);
  await client.process.ended();
  expect(await lab.server.must(['nft', 'list', 'tables'])).not.toContain('ocvpn_');
  expect(await lab.server.must(['ip', '-o', 'link'])).not.toContain('vpns');

  const second = await serve(lab);
  expect(printedCommand(second).args).toEqual(args);
  const again = await connectAsPrinted(lab, args, password ?? '');
  expect(await ping(again.host, inside.host4)).toEqual({ sent: 5, received: 5 });
});

test('a port in use: one sentence that says what to do, and nothing left behind', async () => {
  const lab = await openLab();
  await serve(lab);
  const folders = ['--data-dir', `${lab.folder}/data2`, '--run-dir', `${lab.folder}/run2`];
  const command = [process.execPath, launcher, 'serve', ...folders, '--port', `${PORT}`];
  const { code, stdout, stderr } = await lab.server.run(command);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^vpn: .*port 4443.* in use.*--port/m);
  expect(`${stdout}${stderr}`).not.toMatch(/\n\s+at /);
  expect((await lab.server.must(['nft', 'list', 'tables'])).match(/ocvpn_/g)).toHaveLength(1);
});

test('the first user is told once and kept readable by root only', async () => {
  const lab = await openLab();
  await serve(lab);
  const mode = await lab.server.must(['stat', '-c', '%a %U', `${lab.folder}/data/pki`]);
  expect(mode.trim()).toBe('700 root');
  const readable = (path: string) =>
    lab.server.run(['setpriv', '--reuid', '65534', '--clear-groups', 'cat', path]);
  for (const file of ['pki/server.key', 'pki/ca.key', 'ocpasswd', 'first-user.json']) {
    expect(readFileSync(`${lab.folder}/data/${file}`).length, file).toBeGreaterThan(0);
    expect((await readable(`${lab.folder}/data/${file}`)).code, file).not.toBe(0);
  }
});
