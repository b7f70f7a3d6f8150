/** Texts for CLIENT_CLOSED. */
const MAX_DETAIL = 256;

/** Cuts to what the message carries, at a character's border. */
export function detailOf(text: string): string {
  return Buffer.from(text)
    .subarray(0, MAX_DETAIL)
    .toString('utf8')
    .replace(/\ufffd$/, '');
}

export const NO_COUNTS = { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 };

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
