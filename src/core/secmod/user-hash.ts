/** Bob Jenkins's lookup3 (hashlittle with an initial value of 0) over user names: ocserv chooses addresses by it. */

const BLOCK = 12;
const START = 0xdeadbeef;

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

/** 32 bits. */
export function lookup3(bytes: Uint8Array): number {
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK));
  const padded = Buffer.alloc(blocks * BLOCK);
  padded.set(bytes);
  let a = (START + bytes.length) | 0;
  let b = a;
  let c = a;
  if (bytes.length === 0) return c >>> 0;
  for (let at = 0; at < padded.length; at += BLOCK) {
    a = (a + padded.readUInt32LE(at)) | 0;
    b = (b + padded.readUInt32LE(at + 4)) | 0;
    c = (c + padded.readUInt32LE(at + 8)) | 0;
    if (at + BLOCK < padded.length) [a, b, c] = mix(a, b, c);
  }
  return finish(a, b, c) >>> 0;
}

function mix(a: number, b: number, c: number): [number, number, number] {
  a = ((a - c) ^ rotate(c, 4)) | 0;
  c = (c + b) | 0;
  b = ((b - a) ^ rotate(a, 6)) | 0;
  a = (a + c) | 0;
  c = ((c - b) ^ rotate(b, 8)) | 0;
  b = (b + a) | 0;
  a = ((a - c) ^ rotate(c, 16)) | 0;
  c = (c + b) | 0;
  b = ((b - a) ^ rotate(a, 19)) | 0;
  a = (a + c) | 0;
  c = ((c - b) ^ rotate(b, 4)) | 0;
  b = (b + a) | 0;
  return [a, b, c];
}

function finish(a: number, b: number, c: number): number {
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  return ((c ^ b) - rotate(b, 24)) | 0;
}
