/**
 * Columns of numbers in memory that threads can share, with a place for every row that there may be. They begin with
 * zeros, and the system provides a page of them only when it is first written: a column of a million rows of which ten are
 * in use costs one page.
 */

export function sharedNumbers(length: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(4 * length));
}

/** For Atomics, which wait on signed words alone. */
export function sharedWords(length: number): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}

export function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

/**
 * The bucket of a hash if there are `buckets` of them, which may be any number from 1 to 2^31: linear hashing (Litwin,
 * 1980). One more bucket takes entries from one other bucket alone, so a table grows a bucket at a time and is never
 * rebuilt in one turn.
 */
export function bucketOf(hash: number, buckets: number): number {
  const mask = 0xffff_ffff >>> Math.clz32(buckets - 1);
  if (buckets === 1) return 0;
  const bucket = (hash & mask) >>> 0;
  return bucket < buckets ? bucket : bucket & (mask >>> 1);
}

/** Mixes all bits: the finalizer of MurmurHash3. */
export function mixedHash(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** FNV-1a, and then the mixer, because FNV mixes the last characters little. */
export function hashOfText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mixedHash(hash);
}
