/** A key as a path: RFC 3986 unreserved bytes and `/` as they are, all others percent-encoded as UTF-8. */
export function escapeKey(key: string): string {
  return encodeURIComponent(key.toWellFormed())
    .replaceAll("%2F", "/")
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
