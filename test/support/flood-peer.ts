/**
 * A crowd of clients that never get in: `flood-peer.ts HOST FIRST LAST EACH`. From each of the addresses 10.70.1.FIRST to
 * 10.70.1.LAST of this machine EACH connections, in turn: one that says nothing, one that stops after its TLS handshake, one
 * that logs in with a wrong password. Prints how many of each were made, and stays until it is ended.
 */
import { request } from 'node:https';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';

const [host = '', first = '', lastOne = '', each = ''] = process.argv.slice(2);
const made = { silent: 0, handshake: 0, login: 0 };
const broken = (): void => undefined;

function silent(localAddress: string): void {
  connect({ host, port: 443, localAddress }, () => made.silent++).on('error', broken);
}

function handshake(localAddress: string): void {
  const socket = connect({ host, port: 443, localAddress }).on('error', broken);
  connectTls({ socket, rejectUnauthorized: false }, () => made.handshake++).on('error', broken);
}

function login(localAddress: string): void {
  const body =
    '<?xml version="1.0"?><config-auth client="vpn" type="auth-reply"><auth><username>nobody</username><password>x</password></auth></config-auth>';
  const asked = request(
    { host, port: 443, localAddress, rejectUnauthorized: false, method: 'POST', path: '/auth' },
    (response) => {
      made.login++;
      response.resume();
    },
  );
  asked.on('error', broken);
  asked.end(body);
}

const kinds = [silent, handshake, login];
let turn = 0;
for (let round = 0; round < Number(each); round++) {
  for (let n = Number(first); n <= Number(lastOne); n++) kinds[turn++ % kinds.length]?.(`10.70.1.${n}`);
}
setInterval(() => console.log(`made ${JSON.stringify(made)}`), 500);
console.log('started');
