/**
 * Zeroed memory for a secret that will be wiped. V8 keeps small typed arrays (64 bytes) in its own heap, also those of
 * Buffer.alloc(): the collector moves them, and leaves copies behind that nobody can wipe. An ArrayBuffer is always outside.
 */
export function secretBytes(length: number): Buffer {
  return Buffer.from(new ArrayBuffer(length));
}
