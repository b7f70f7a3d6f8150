/** One-time passwords with the stock client's own tokens, through the whole server. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { hotp } from '../../src/plugins/auth-plain/src/otp.js';
import { type Lab, openLab, outside } from '../support/lab.ts';
import { authenticate, connect, startClient } from '../support/openconnect.ts';
import { startServer, type VpnServer } from '../support/server.ts';

const KEY = Buffer.from('12345678901234567890');
const HEX = KEY.toString('hex');
const token = (mode: string) => ['--token-mode', mode, '--token-secret', `0x${HEX}`];

async function start(lab: Lab): Promise<{ server: VpnServer; oath: string }> {
  const oath = `${lab.folder}/users.oath`;
  writeFileSync(oath, `HOTP/T30 alice - ${HEX}\nHOTP carol - ${HEX} 5\nHOTP/T30 dave - ${HEX}\n`);
  const auth = [`plain[passwd=${lab.folder}/ocpasswd,otp=${oath}]`];
  return { server: await startServer(lab, 'ocvpn', { options: { auth } }), oath };
}

test('TOTP after the password; the same code does not work again', async () => {
  const lab = await openLab();
  const { server, oath } = await start(lab);
  await connect(lab, server, { args: token('totp') });
  expect(await server.users()).toEqual([expect.objectContaining({ name: 'alice' })]);
  const code = /^HOTP\/T30\talice\t-\t\w+\t\S+\t(\d{6})\t/m.exec(readFileSync(oath, 'utf8'))?.[1];
  const replay = await authenticate(lab, server, { args: [`--form-entry=main:secondary_password=${code}`] });
  expect(replay.code).not.toBe(0);
});

test('HOTP within the window; the counter moves on', async () => {
  const lab = await openLab();
  const { server, oath } = await start(lab);
  // Code 9 of RFC 4226 appendix D.
  const login = { user: 'carol', password: 'carols', args: ['--form-entry=main:secondary_password=520489'] };
  expect(await authenticate(lab, server, login)).toMatchObject({ code: 0 });
  expect(readFileSync(oath, 'utf8')).toContain(`carol\t-\t${HEX}\t10\t520489\t`);
  expect((await authenticate(lab, server, login)).code).not.toBe(0);
});

test('neither the password nor the code alone lets in who has both; who has a token alone needs no more', async () => {
  const lab = await openLab();
  const { server, oath } = await start(lab);
  const wrongCode = { args: ['--form-entry=main:secondary_password=000000'] };
  expect((await authenticate(lab, server, wrongCode)).code).not.toBe(0);
  expect((await authenticate(lab, server, { password: 'wrong', args: token('totp') })).code).not.toBe(0);
  expect((await authenticate(lab, server, { user: 'bob', password: '' })).code).not.toBe(0);
  const code = hotp(KEY, Math.floor(Date.now() / 30_000), 6);
  expect(await authenticate(lab, server, { user: 'dave', password: code })).toMatchObject({ code: 0 });

  // While a file of theirs is gone nobody gets in, and the server goes on.
  const login = () => authenticate(lab, server, { args: token('totp') });
  for (const file of [`${lab.folder}/ocpasswd`, oath]) {
    renameSync(file, `${file}.away`);
    expect((await login()).code).not.toBe(0);
    renameSync(`${file}.away`, file);
  }
  expect((await login()).code).toBe(0);
});

test("guesses at a user's password wait; the user connects from where she was before", async () => {
  const lab = await openLab({ clients: 2 });
  const options = { 'wrong-password-tries': 2, 'wrong-password-interval': 3600 };
  const server = await startServer(lab, 'ocvpn', { options });
  await (await connect(lab, server)).end('SIGINT');
  const guess = { on: 1, password: 'guess' };
  for (let n = 0; n < 2; n++) expect((await authenticate(lab, server, guess)).code).not.toBe(0);
  // Not even the right one is looked at: it could be the guess that hits.
  const guessing = startClient(lab, server, { on: 1 });
  await server.process.waitFor(/"user":"alice".*"many wrong passwords for this user; further tries wait"/);
  const client = await connect(lab, server);
  expect((await server.users()).map(({ name, remote }) => [name, remote])).toEqual([
    ['alice', outside.client4(0)],
  ]);
  // Other users are not concerned.
  await connect(lab, server, { on: 1, user: 'carol', password: 'carols' });
  expect(guessing.process.exit).toBeUndefined();
  expect(client.process.exit).toBeUndefined();
});
