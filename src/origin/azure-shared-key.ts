/**
 * Azure's SharedKey signature for the two requests Orca sends itself. A shared access signature would be made less
 * often, but it is a bearer secret inside the URL, good for a whole container until it expires; this one is good for
 * one request, covers its Range and If-Match, needs no renewal and lets URLs be logged. It costs one HMAC.
 */
import { createHmac } from "node:crypto";

export interface AzureAccountKey {
  readonly account: string;
  /** As Azure shows it: base64. */
  readonly key: string;
}

/**
 * The `Authorization` of a GET or HEAD without query and body, `headers` in lower case with `x-ms-date` among them.
 * https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
 */
export function sharedKeyAuthorization(
  accountKey: AzureAccountKey,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): string {
  const canonicalHeaders = Object.keys(headers)
    .filter((name) => name.startsWith("x-ms-"))
    .sort()
    .map((name) => `${name}:${headers[name]}\n`)
    .join("");
  const standardHeaders = [
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
  ].map((name) => headers[name] ?? "");
  const canonicalResource = `/${accountKey.account}${path}`;
  const text = [method, ...standardHeaders, canonicalHeaders + canonicalResource].join("\n");
  const signature = createHmac("sha256", Buffer.from(accountKey.key, "base64"))
    .update(text, "utf8")
    .digest("base64");
  return `SharedKey ${accountKey.account}:${signature}`;
}
