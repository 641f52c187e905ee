/**
 * Azure's SharedKey signature for the requests that Orca sends itself. A shared access signature is computed less often,
 * but it is a bearer secret in the URL, valid for a whole container until it expires. A SharedKey signature is valid for
 * one request, covers its Range and If-Match, needs no renewal and permits logging URLs. It costs one HMAC.
 */
import { createHmac } from "node:crypto";

export interface AzureAccountKey {
  readonly account: string;
  /** Base64, as Azure displays it. */
  readonly key: string;
}

/**
 * The `Authorization` header of a GET or HEAD without body. `headers` are in lower case and include `x-ms-date`. `query`
 * has its names in lower case and its values decoded.
 * https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
 */
export function sharedKeyAuthorization(
  accountKey: AzureAccountKey,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  query: Readonly<Record<string, string>> = {},
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
  const parameters = Object.keys(query)
    .sort()
    .map((name) => `\n${name}:${query[name]}`)
    .join("");
  const canonicalResource = `/${accountKey.account}${path}${parameters}`;
  const text = [method, ...standardHeaders, canonicalHeaders + canonicalResource].join("\n");
  const signature = createHmac("sha256", Buffer.from(accountKey.key, "base64"))
    .update(text, "utf8")
    .digest("base64");
  return `SharedKey ${accountKey.account}:${signature}`;
}
