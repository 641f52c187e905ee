/**
 * What the files of tokens hold: keys that sign bearer tokens (`server.auth.bearer_secret_file`), and the token of the ops
 * listener (`server.ops_token_file`). Several keys, one a line, let a key be replaced: the first signs, and all verify.
 */

/** RFC 7518 §3.2: a key of HMAC-SHA-256 is not shorter than its hash. */
const keyLengthMin = 32;
const keysMax = 16;
const opsTokenLengthMin = 16;

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

/** The token, or what was expected instead. */
export function opsTokenOf(text: string): string | { readonly expected: string } {
  const token = text.trim();
  if (token.length >= opsTokenLengthMin && /^[\w.~+/=-]{1,4096}$/.test(token)) return token;
  return { expected: `one token of at least ${opsTokenLengthMin} characters A-Z a-z 0-9 . _ ~ + / = -` };
}
