/** Strings as V8 keeps them on the heap (Node 26, 64 bits, measured). */

/** Header of a string, and padding to a multiple of 8. */
const stringBytes = 24;

/** V8 copies a shorter part of a string, and refers to the whole string for a longer one. */
const sliceLengthMin = 13;

/** What a string takes that shares no memory with another. */
export function textBytes(text: string): number {
  return stringBytes + (isLatin1(text) ? text.length : 2 * text.length);
}

/**
 * The same string with memory of its own. A header's value is a part of the response head, and a key is a part of the
 * request line. A cache that keeps the part would keep the whole in memory, up to 64 KiB.
 */
export function ownText(text: string): string {
  if (text.length < sliceLengthMin) return text;
  const encoding = isLatin1(text) ? "latin1" : "utf16le";
  return Buffer.from(text, encoding).toString(encoding);
}

/** Such a string takes one byte for a character. */
function isLatin1(text: string): boolean {
  return !/[^\0-\xff]/.test(text);
}
