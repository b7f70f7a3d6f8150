/** One RADIUS server on a socket: which replies are believed, by the policy for Message-Authenticator. */

import { createHash } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { codes } from '../../src/plugins/auth-radius/src/dictionary.js';
import { messageAuthenticator, sealAccess, sealReply } from '../../src/plugins/auth-radius/src/digest.js';
import { type Packet, parsePacket } from '../../src/plugins/auth-radius/src/packet.js';
import type { MessageAuthenticatorPolicy } from '../../src/plugins/auth-radius/src/radcli-conf.js';
import { ServerLink } from '../../src/plugins/auth-radius/src/server-link.js';

const secret = Buffer.from('xyzzy5461');
let socket: Socket;
/** What the server answers. */
let answer: (request: Packet) => Buffer[];
let requests: Packet[];

beforeEach(async () => {
  requests = [];
  socket = createSocket('udp4');
  socket.on('message', (datagram, { port, address }) => {
    const request = parsePacket(datagram);
    requests.push(request);
    for (const reply of answer(request)) socket.send(reply, port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
});
afterEach(() => {
  socket.close();
});

const signed = (request: Packet): Buffer => sealReply(codes.accessAccept, request, [], secret);

/** As a server of before RFC 3579 makes it: with the Response Authenticator alone. */
function unsigned(request: Packet, attributes = Buffer.alloc(0)): Buffer {
  const packet = Buffer.concat([Buffer.alloc(20), attributes]);
  packet.writeUInt8(codes.accessAccept, 0);
  packet.writeUInt8(request.id, 1);
  packet.writeUInt16BE(packet.length, 2);
  packet.set(request.authenticator, 4);
  createHash('md5').update(packet).update(secret).digest().copy(packet, 4);
  return packet;
}

function forged(request: Packet): Buffer {
  const packet = signed(request);
  packet.writeUInt8(packet.readUInt8(30) ^ 1, 30);
  createHash('md5')
    .update(packet.subarray(0, 4))
    .update(request.authenticator)
    .update(packet.subarray(20))
    .update(secret)
    .digest()
    .copy(packet, 4);
  return packet;
}

async function withLink<T>(
  policy: MessageAuthenticatorPolicy,
  use: (ask: () => Promise<Packet>) => Promise<T>,
): Promise<T> {
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const server = { host: '127.0.0.1', port: (socket.address() as AddressInfo).port, secret };
  const link = new ServerLink(server, {
    timeoutMs: 60,
    retries: 1,
    bindAddress: null,
    tls: null,
    messageAuthenticator: policy,
    log,
  });
  const ask = () =>
    link.exchange(
      (id, key) => sealAccess(codes.accessRequest, id, Buffer.alloc(16, id), [], key, policy !== 'off'),
      null,
      false,
    );
  try {
    return await use(ask);
  } finally {
    link.close();
  }
}

describe.each(['required', 'auto', 'off'] as const)('%s', (policy) => {
  test('a signed reply is believed; the request is signed unless it is off', async () => {
    answer = (request) => [signed(request)];
    expect((await withLink(policy, (ask) => ask())).code).toBe(codes.accessAccept);
    const [request] = requests;
    const expected = policy === 'off' ? 'absent' : 'right';
    expect(request && messageAuthenticator(request, request.authenticator, secret)).toBe(expected);
  });

  test('an unsigned reply is believed unless it is required', async () => {
    answer = (request) => [unsigned(request)];
    const asked = withLink(policy, (ask) => ask());
    if (policy === 'required') await expect(asked).rejects.toThrow(/did not answer 2 times/);
    else expect((await asked).code).toBe(codes.accessAccept);
  });

  test('a wrong signature is never believed; the right reply behind it is', async () => {
    answer = (request) => [forged(request)];
    await expect(withLink(policy, (ask) => ask())).rejects.toThrow(/did not answer/);
    answer = (request) => [forged(request), signed(request)];
    expect((await withLink(policy, (ask) => ask())).code).toBe(codes.accessAccept);
  });
});

test('auto: a server that has signed once must go on', async () => {
  await withLink('auto', async (ask) => {
    answer = (request) => [unsigned(request)];
    await ask();
    answer = (request) => [signed(request)];
    await ask();
    answer = (request) => [unsigned(request)];
    await expect(ask()).rejects.toThrow(/did not answer/);
  });
});

test('auto: an unsigned reply with a Proxy-State, the room that a forger needs, is not believed', async () => {
  const proxyState = Buffer.from('21060a0b0c0d', 'hex');
  answer = (request) => [unsigned(request, proxyState)];
  await expect(withLink('auto', (ask) => ask())).rejects.toThrow(/did not answer/);
  expect((await withLink('off', (ask) => ask())).code).toBe(codes.accessAccept);
});
