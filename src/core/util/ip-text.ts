/** Whether a text is an IP address. node:net has the same checks, but the wire code is to reach no socket module. */
const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);

export const isIPv4 = (text: string): boolean => IPV4.test(text);

/** RFC 4291 §2.2, without zone. */
export function isIPv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const counts = halves.map((half, index) => groupCount(half, index === halves.length - 1));
  if (counts.some((count) => count < 0)) return false;
  const total = counts.reduce((sum, count) => sum + count, 0);
  return halves.length === 2 ? total <= 7 : total === 8;
}

/** Number of 16-bit groups in one half; a dotted IPv4 tail counts as two; -1 when malformed. */
function groupCount(half: string, isLast: boolean): number {
  if (half === '') return 0;
  const groups = half.split(':');
  let count = 0;
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) count += 1;
    else if (isLast && index === groups.length - 1 && isIPv4(group)) count += 2;
    else return -1;
  }
  return count;
}
