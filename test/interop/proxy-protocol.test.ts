/** Connections through a proxy that tells where they come from. */
import { expect, test } from 'vitest';
import { type Lab, openLab } from '../support/lab.ts';
import { connect, startClient } from '../support/openconnect.ts';
import { startServer } from '../support/server.ts';

const ORIGIN = '203.0.113.77';

/** A proxy on the server's port 443 that sends `header` before what it passes on to port 8443. */
async function proxy(lab: Lab, header: Buffer): Promise<void> {
  const program = `
    const net = require('node:net');
    const header = Buffer.from('${header.toString('hex')}', 'hex');
    net.createServer((from) => {
      const to = net.connect(8443, '127.0.0.1');
      from.on('error', () => to.destroy()).on('close', () => to.destroy());
      to.on('error', () => from.destroy()).on('close', () => from.destroy());
      to.setNoDelay(true);
      // In two pieces: the server must wait for the rest.
      to.write(header.subarray(0, 7));
      setImmediate(() => { to.write(header.subarray(7)); from.pipe(to); to.pipe(from); });
    }).listen(443, () => console.log('listening'));`;
  await lab.server.start('proxy', [process.execPath, '-e', program]).waitFor(/listening/);
}

const version1 = Buffer.from(`PROXY TCP4 ${ORIGIN} 10.80.0.2 40001 443\r\n`);
/** With the TLVs of a proxy that has ended TLS: authority (02), SSL (20) with version and CN, a type of its own (e7). */
const version2 = Buffer.concat([
  Buffer.from('0d0a0d0a000d0a515549540a2111002ccb00714d0a5000029c4101bb', 'hex'),
  Buffer.from('020003767074', 'hex'),
  Buffer.from('20001207000000002100032e2e2e220004', 'hex'),
  Buffer.from('mall'),
  Buffer.from('e700020d0a', 'hex'),
]);

test.each([
  ['version 1', version1],
  ['version 2', version2],
])('%s: the client has the address that the header says', async (_, header) => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn', {
    options: { 'listen-proxy-proto': true, 'tcp-port': 8443, 'udp-port': 0 },
  });
  await proxy(lab, header);
  await connect(lab, server);
  expect(await server.users()).toMatchObject([{ name: 'alice', remote: ORIGIN }]);
});

test('a connection without a header is closed', async () => {
  const lab = await openLab();
  const server = await startServer(lab, 'ocvpn', {
    options: { 'listen-proxy-proto': true, 'udp-port': 0 },
  });
  const client = startClient(lab, server);
  expect((await client.process.ended()).code).not.toBe(0);
  await server.process.waitFor(/no PROXY header/);
});
