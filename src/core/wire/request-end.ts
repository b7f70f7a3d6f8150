/**
 * Whether a read ended exactly where the request ended. Clients of this protocol never send ahead; bytes behind a
 * request in the same read are how requests are smuggled past a proxy, so such a connection is not served.
 */
const BLANK_LINE = Buffer.from('\r\n\r\n', 'latin1');

/**
 * @param lastRead what the last read brought
 * @param body the request's body, decoded
 * @param chunked the body came in chunks (RFC 9112 §7.1) and ends with an empty line
 */
export function endsWithRequest(lastRead: Buffer, body: Buffer, chunked: boolean): boolean {
  const end = body.length === 0 || chunked ? BLANK_LINE : body;
  const length = Math.min(lastRead.length, end.length);
  return lastRead.subarray(lastRead.length - length).equals(end.subarray(end.length - length));
}
