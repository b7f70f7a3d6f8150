/** Tickets for clients that reach no KDC but only the server: the stock kinit over HTTPS. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { labKdc, proxiedClient } from '../support/kdc.ts';
import { inside, type Lab, openLab } from '../support/lab.ts';
import type { RunResult } from '../support/process.ts';
import { startServer } from '../support/server.ts';

const kinit = (lab: Lab, env: Record<string, string>, password = 'secret'): Promise<RunResult> =>
  lab.client().run(['kinit', 'alice'], { env, input: `${password}\n`, timeoutMs: 90_000 });
const certificate = (lab: Lab): string => join(lab.folder, 'rsa-cert.pem');

test.each(['tcp', 'udp'])(
  'over %s: a ticket for the right password, none for a wrong one',
  async (protocol) => {
    const lab = await openLab();
    const kdc = await labKdc(lab);
    await startServer(lab, 'ocvpn', { options: { kkdcp: [`/KdcProxy LAB.TEST ${protocol}@${kdc.place}`] } });
    const env = proxiedClient(lab, certificate(lab));
    expect(await kinit(lab, env, 'wrong')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('incorrect'),
    });
    expect(await kinit(lab, env)).toMatchObject({ code: 0, stderr: '' });
    expect(await lab.client().must(['klist'], { env })).toContain('krbtgt/LAB.TEST@LAB.TEST');
    expect(kdc.process.output).toMatch(new RegExp(`AS_REQ .* ${inside.host4.replace(/2$/, '1')}: ISSUE`));
  },
);

test('a KDC that is dead fails the request alone, and works once it is back', async () => {
  const lab = await openLab();
  const kdc = await labKdc(lab);
  const kkdcp = [`/KdcProxy LAB.TEST tcp@${kdc.place}`];
  const server = await startServer(lab, 'ocvpn', { options: { kkdcp } });
  const env = proxiedClient(lab, certificate(lab));
  await kdc.process.stop();
  expect(await kinit(lab, env)).toMatchObject({ code: 1 });
  expect(server.process.output).toContain('KDC not reached');
  await kdc.restart();
  expect(await kinit(lab, env)).toMatchObject({ code: 0 });
});

test('another path is no proxy, and too many requests ban the address', async () => {
  const lab = await openLab();
  const kdc = await labKdc(lab);
  const options = {
    kkdcp: [`/KdcProxy LAB.TEST tcp@${kdc.place}`],
    'max-ban-score': 40,
    'ban-points-connection': 0,
    'ban-points-kkdcp': 10,
  };
  const server = await startServer(lab, 'ocvpn', { options });
  expect(await kinit(lab, proxiedClient(lab, certificate(lab), '/Other'))).toMatchObject({ code: 1 });
  const env = proxiedClient(lab, certificate(lab));
  // Two requests each: without and with proof of the password.
  expect(await kinit(lab, env)).toMatchObject({ code: 0 });
  expect(await kinit(lab, env)).toMatchObject({ code: 1 });
  await server.process.waitFor(/connection failed: banned for its KDC requests/, { from: 0 });
});
