/**
 * Option listen-netns: sockets that belong to another network namespace. A socket stays in the namespace in which it
 * was made, so this thread enters it for the making alone.
 */
import { closeSync, openSync } from 'node:fs';
import { VpnError } from '../errors.js';
import type { NativeIo } from '../native/types.js';

const OWN = '/proc/self/ns/net';
const NAMED = '/run/netns';

/** `io` with listenTcp, bindUdp and connectUdp in the namespace; '' leaves it as it is. They throw OCS_NETNS. */
export function socketsIn(io: NativeIo, name: string): NativeIo {
  if (name === '') return io;
  const inside =
    <A extends unknown[], R>(make: (...args: A) => R) =>
    (...args: A): R =>
      within(io, name, () => make(...args));
  return Object.assign(Object.create(io) as NativeIo, {
    listenTcp: inside(io.listenTcp.bind(io)),
    bindUdp: inside(io.bindUdp.bind(io)),
    connectUdp: inside(io.connectUdp.bind(io)),
  });
}

function within<R>(io: NativeIo, name: string, make: () => R): R {
  const own = openSync(OWN, 'r');
  try {
    enter(io, name);
    try {
      return make();
    } finally {
      io.setNetworkNamespace(own);
    }
  } finally {
    closeSync(own);
  }
}

function enter(io: NativeIo, name: string): void {
  try {
    const fd = openSync(`${NAMED}/${name}`, 'r');
    try {
      io.setNetworkNamespace(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new VpnError('OCS_NETNS', { name, reason: (error as Error).message }, { cause: error });
  }
}
