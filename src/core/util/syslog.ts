/**
 * Messages to the syslog of this machine, in the form that syslog(3) sends (RFC 3164 without a host name). Each goes out on
 * a socket of its own: a syslog that was restarted gets the next one.
 */

/** One datagram to the unix socket at `path`; throws when nobody takes it. */
export type SendDatagram = (path: string, text: string) => void;

const SOCKET = '/dev/log';
/** Facilities of syslog-facility with their codes (RFC 5424, 6.2.1). */
const FACILITIES: ReadonlyMap<string, number> = new Map([
  ['user', 1],
  ['daemon', 3],
  ['auth', 4],
  ['authpriv', 10],
  ...Array.from({ length: 8 }, (_, n): [string, number] => [`local${n}`, 16 + n]),
]);
const DAEMON = 3;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

export const isSyslogFacility = (name: string): boolean => FACILITIES.has(name);

/** Local time as RFC 3164 writes it: "Nov  2 09:05:00". */
function timestamp(at: Date): string {
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => String(n).padStart(2, '0'));
  return `${MONTHS[at.getMonth()]} ${String(at.getDate()).padStart(2)} ${clock.join(':')}`;
}

/**
 * Returns a function that sends one line with a priority (0 to 7), false if it was not taken. The environment names the
 * facility (VPN_SYSLOG_FACILITY), the program (VPN_SYSLOG_TAG) and the socket (VPN_SYSLOG_SOCKET).
 */
export function syslogSender(
  send: SendDatagram,
  env: NodeJS.ProcessEnv,
): (line: string, priority: number) => boolean {
  const facility = FACILITIES.get(env.VPN_SYSLOG_FACILITY ?? '') ?? DAEMON;
  const tag = `${env.VPN_SYSLOG_TAG || 'vpn'}[${process.pid}]`;
  const socket = env.VPN_SYSLOG_SOCKET || SOCKET;
  return (line, priority) => {
    try {
      send(socket, `<${facility * 8 + priority}>${timestamp(new Date())} ${tag}: ${line}`);
      return true;
    } catch {
      return false;
    }
  };
}
