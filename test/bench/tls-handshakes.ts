// Handshakes of the TLS server with a key in another process: node test/bench/tls-handshakes.ts [seconds]
// Prints, per key type and TLS version, handshakes per second of one sequential openssl client and the CPU time that a
// handshake costs the TLS process. The signer's CPU is its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  contextOptions,
  echo,
  native,
  RemoteSigner,
  TestPki,
  TestServer,
} from '../unit/native-tls.support.ts';

const seconds = process.argv[2] ?? '5';
const pki = new TestPki();

for (const type of ['ec', 'rsa'] as const) {
  pki.issue(type, type);
  const signer = new RemoteSigner([pki.path(`${type}.key`)]);
  const context = native.createTlsContext(contextOptions([pki.read(`${type}.crt`)]));
  const server = new TestServer(context, echo(signer));
  for (const version of ['-tls1_2', '-tls1_3']) {
    const before = server.accepted.length;
    const cpu = process.cpuUsage();
    const started = process.hrtime.bigint();
    const where = ['-connect', `127.0.0.1:${server.port}`, '-new', '-time', seconds];
    await once(spawn('openssl', ['s_time', ...where, version], { stdio: 'ignore' }), 'close');
    const wall = Number(process.hrtime.bigint() - started) / 1e9;
    const { user, system } = process.cpuUsage(cpu);
    const count = server.accepted.length - before;
    const each = ((user + system) / 1000 / count).toFixed(2);
    console.log(
      `${type} ${version.slice(1)}: ${(count / wall).toFixed(0)} handshakes/s, ${each} ms CPU each`,
    );
  }
  await server.close();
  await signer.close();
}
pki.remove();
