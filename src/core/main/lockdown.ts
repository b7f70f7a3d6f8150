/** The capabilities that main keeps once it has started, each with its reason; docs/permissions.md shows them. */
import type { NativeIo } from '../native/types.js';

interface Capability {
  readonly name: string;
  /** <linux/capability.h> */
  readonly number: number;
  readonly why: string;
}

export const mainCapabilities: readonly Capability[] = [
  { name: 'CAP_CHOWN', number: 0, why: 'Sockets for workers belong to run-as-user.' },
  {
    name: 'CAP_DAC_OVERRIDE',
    number: 1,
    why: 'Configuration, history and pid file may belong to another user.',
  },
  { name: 'CAP_FOWNER', number: 3, why: 'The same, where their modes are set.' },
  { name: 'CAP_KILL', number: 5, why: 'Workers run as another user and are ended by signals.' },
  { name: 'CAP_SETGID', number: 6, why: 'Workers that are started later change their group.' },
  { name: 'CAP_SETUID', number: 7, why: 'Workers that are started later change their user.' },
  {
    name: 'CAP_SETPCAP',
    number: 8,
    why: 'Workers that are started later empty their bounding sets.',
  },
  {
    name: 'CAP_NET_BIND_SERVICE',
    number: 10,
    why: 'UDP sockets of clients share port 443 with the listener.',
  },
  { name: 'CAP_NET_ADMIN', number: 12, why: 'Tun devices, addresses, routes, forwarding.' },
];

/** Gives up all other capabilities. Scripts and nft, which are executed as root, have those of the bounding set again. */
export function keepMainCapabilities(io: NativeIo): void {
  io.keepCapabilities(mainCapabilities.map(({ number }) => number));
}
