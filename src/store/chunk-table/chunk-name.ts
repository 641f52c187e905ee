/**
 * The name of a chunk in numbers: what a row of the chunk table holds of a chunk path `<origin_id>/<hash>/<index>`. One
 * name is parsed at a time, into an object that is used again, so that a look-up allocates nothing.
 */

const hashLength = 64;
const hashBytesCount = hashLength / 2;
export const hashWordsCount = hashBytesCount / 4;
const indexMax = 2 ** 32 - 1;
const notHex = 255;

/** The value of each character code that is a hexadecimal digit in lower case. */
const digits = new Uint8Array(128).fill(notHex);
for (let value = 0; value < 16; value += 1) digits[value.toString(16).charCodeAt(0)] = value;

export class ChunkName {
  originId = "";
  readonly hashWords = new Uint32Array(hashWordsCount);
  readonly #hashBytes = new Uint8Array(this.hashWords.buffer);
  index = 0;
  #hash = "";

  /** False if the name cannot be held in numbers. No chunk of a real object has such a name. */
  set(originId: string, hash: string, index: number): boolean {
    this.originId = originId;
    this.index = index;
    return index <= indexMax && this.#setHash(hash);
  }

  setPath(path: string): boolean {
    const indexAt = path.lastIndexOf("/") + 1;
    const hashAt = indexAt - 1 - hashLength;
    if (hashAt < 2 || path.charCodeAt(hashAt - 1) !== 0x2f) return false;
    const index = decimalAt(path, indexAt);
    return this.set(path.slice(0, hashAt - 1), path.slice(hashAt, indexAt - 1), index);
  }

  #setHash(hash: string): boolean {
    // Look-ups of one version follow each other.
    if (hash === this.#hash) return true;
    this.#hash = "";
    if (hash.length !== hashLength) return false;
    for (let at = 0; at < hashBytesCount; at += 1) {
      const high = digits[hash.charCodeAt(2 * at)] ?? notHex;
      const low = digits[hash.charCodeAt(2 * at + 1)] ?? notHex;
      if (high === notHex || low === notHex) return false;
      this.#hashBytes[at] = (high << 4) | low;
    }
    this.#hash = hash;
    return true;
  }
}

/** The number that the rest of the text is in decimal digits, without zeros before it; Infinity for any other text. */
function decimalAt(text: string, at: number): number {
  const isNumber = text.length > at && (text.length === at + 1 || text.charCodeAt(at) !== 0x30);
  let value = isNumber ? 0 : Infinity;
  for (let place = at; place < text.length; place += 1) {
    const digit = text.charCodeAt(place) - 0x30;
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Infinity;
  }
  return value;
}
