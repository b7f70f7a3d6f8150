/** Which compression a channel gets (reference protocol.md §10). */

/** Names in X-CSTP-Accept-Encoding and its relatives. */
export type Encoding = 'oc-lz4' | 'lzs';

/** Names in compression-algo-priority. */
const encodings: Readonly<Record<string, Encoding>> = { lz4: 'oc-lz4', lzs: 'lzs' };

/** The first of `priority` (`lz4:lzs`) that the client accepts; null: none. */
export function chooseEncoding(accepted: readonly string[], priority: string): Encoding | null {
  for (const name of priority.split(':')) {
    const encoding = encodings[name];
    if (encoding && accepted.includes(encoding)) return encoding;
  }
  return null;
}
