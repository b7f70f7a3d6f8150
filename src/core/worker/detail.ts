/** Texts for CLIENT_CLOSED. */
const MAX_DETAIL = 256;

/** Cuts to what the message carries, at a character's border. */
export function detailOf(text: string): string {
  return Buffer.from(text)
    .subarray(0, MAX_DETAIL)
    .toString('utf8')
    .replace(/\ufffd$/, '');
}
