/**
 * Percent-encoding of object keys (RFC 3986 §2.1): in the paths that clients send, in the paths of requests to a store, and
 * in listings. A key is opaque. It is decoded once, to exactly the UTF-8 that the client wrote. A key that does not
 * decode is an error and is not repaired, because a repaired key is the key of another object.
 */

/**
 * The decoded text, or undefined where an escape is broken, the bytes are not UTF-8, or they hold a NUL, which neither
 * S3 nor a file system accepts. node:http delivers raw bytes above 0x7f as Latin-1, and they count as if escaped.
 */
export function percentDecode(text: string): string | undefined {
  if (isPlain(text)) return text;
  if (!/^[\x21-\x7e\x80-\xff]*$/.test(text)) return undefined;
  const escaped = text.replace(
    /[\x80-\xff]/g,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
  try {
    // Unlike TextDecoder and Buffer, this keeps a leading BOM, and is strict about everything else.
    const decoded = decodeURIComponent(escaped);
    return decoded.includes("\0") ? undefined : decoded;
  } catch {
    return undefined;
  }
}

/**
 * `text` as UTF-8 in which all bytes are escaped but the unreserved ones of RFC 3986 §2.3 (letters, digits, `-`, `.`,
 * `_`, `~`) and `/`. It is what a request to a store has in its path, and what S3 writes under `encoding-type=url`, but
 * for the space: S3 writes `+` there, which not every client reads back, and all of them read `%20`.
 */
export function percentEncode(text: string): string {
  if (/^[\w.~/-]*$/.test(text)) return text;
  return encodeURIComponent(text.toWellFormed())
    .replaceAll("%2F", "/")
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The query of a request to a store. */
export function encodeQuery(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${encodeQueryPart(name)}=${encodeQueryPart(value)}`)
    .join("&");
}

function encodeQueryPart(text: string): string {
  return percentEncode(text).replaceAll("/", "%2F");
}

/** Whether `text` is printable ASCII without an escape, as most keys are. Decoding such a text changes nothing. */
function isPlain(text: string): boolean {
  return /^[\x21-\x24\x26-\x7e]*$/.test(text);
}
