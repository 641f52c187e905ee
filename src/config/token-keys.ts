/**
 * The file of keys that sign bearer tokens (`server.auth.bearer_secret_file`). Several keys, one a line, let a key be
 * replaced: the first signs, and all verify.
 */

/** RFC 7518 §3.2: a key of HMAC-SHA-256 is not shorter than its hash. */
const keyLengthMin = 32;
const keysMax = 16;

/** The keys, or what was expected instead. */
export function tokenKeysOf(text: string): readonly string[] | { readonly expected: string } {
  const keys = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const isGood =
    keys.length > 0 && keys.length <= keysMax && keys.every((key) => Buffer.byteLength(key) >= keyLengthMin);
  if (isGood) return keys;
  return { expected: `1 to ${keysMax} lines, each a key of at least ${keyLengthMin} bytes` };
}
