/**
 * Percent-encoding of object keys (RFC 3986 §2.1). A key is opaque: it is decoded once, to exactly the UTF-8 the client
 * wrote, and what does not decode is refused rather than repaired, because a repaired key is another object's key.
 */

/**
 * The decoded text, or undefined where an escape is broken, the bytes are not UTF-8, or they hold a NUL, which neither
 * S3 nor a file system takes. Raw bytes above 0x7f, which node:http hands over as Latin-1, count as if escaped.
 */
export function percentDecode(text: string): string | undefined {
  if (isPlain(text)) return text;
  if (!/^[\x21-\x7e\x80-\xff]*$/.test(text)) return undefined;
  const escaped = text.replace(
    /[\x80-\xff]/g,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  try {
    // Unlike TextDecoder and Buffer this keeps a leading BOM and is strict about everything else.
    const decoded = decodeURIComponent(escaped);
    return decoded.includes("\0") ? undefined : decoded;
  } catch {
    return undefined;
  }
}

/**
 * `text` as S3 writes it under `encoding-type=url`: all but letters, digits, `-`, `.`, `_`, `~` and `/` is escaped. A
 * space is `%20`: S3 writes `+`, but not every client reads that back, and all of them read `%20`.
 */
export function percentEncode(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replaceAll("%2F", "/")
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Printable ASCII without an escape: by far most keys, which stand for themselves. */
function isPlain(text: string): boolean {
  return /^[\x21-\x24\x26-\x7e]*$/.test(text);
}
