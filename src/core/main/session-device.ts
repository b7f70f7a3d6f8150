/** The tun device of a session: its addresses come with the session and go before its last descriptor does. */
import type { Logger } from '../log.js';
import type { NativeIo, TunDevice } from '../native/types.js';
import type { Session } from './clients.js';
import type { Lease } from './leases.js';

type DeviceIo = Pick<NativeIo, 'configureInterface'>;

/** Addresses, MTU (bytes) and link state of a new device. */
export function configureTun(io: DeviceIo, tun: TunDevice, { ipv4, ipv6 }: Lease, mtu: number): void {
  io.configureInterface({
    ifindex: tun.ifindex,
    mtu,
    up: true,
    ipv4: ipv4 && { local: ipv4.local, peer: ipv4.address },
    ipv6: ipv6 && { local: ipv6.local, peer: ipv6.address, prefix: ipv6.prefix },
  });
}

/** Takes the addresses off a device whose worker has not closed it yet: its routes must not win. */
export function retireTun({ io, log }: { io: DeviceIo; log: Logger }, session: Session): void {
  try {
    io.configureInterface({
      ifindex: session.ifindex,
      mtu: session.mtu,
      up: false,
      ipv4: null,
      ipv6: null,
    });
  } catch (error) {
    // Gone with its last descriptor, which is the usual case.
    log.trace({ device: session.tunName, err: error }, 'device is gone already');
  }
}
