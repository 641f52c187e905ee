/**
 * The query of a request as the access log may print it. Presigned URLs carry a credential, a signature and perhaps a session
 * token, and clients put tokens of their own into queries. So only values of parameters that S3 knows and that hold no
 * secret are printed. A list of what is secret would be wrong with the next kind of token.
 */
import { percentDecode } from "../../base/percent-encoding.ts";
import { isSubResource } from "../sub-resources/sub-resource.ts";

/** Enough for a listing's parameters. A longer query is cut. */
const shownCharactersMax = 512;

const hidden = "[hidden]";

/** In lower case, as the next. */
const openNames: ReadonlySet<string> = new Set([
  "delimiter",
  "encoding-type",
  "fetch-owner",
  "key-marker",
  "list-type",
  "marker",
  "max-buckets",
  "max-keys",
  "partnumber",
  "prefix",
  "response-cache-control",
  "response-content-disposition",
  "response-content-encoding",
  "response-content-language",
  "response-content-type",
  "response-expires",
  "start-after",
  "version-id-marker",
  "versionid",
  "x-amz-algorithm",
  "x-amz-date",
  "x-amz-expires",
  "x-amz-signedheaders",
  "x-id",
]);

/** Names whose values are hidden, and that are worth to be seen: the request is presigned, or goes on in a listing. */
const namedSecrets: ReadonlySet<string> = new Set([
  "awsaccesskeyid",
  "continuation-token",
  "expires",
  "signature",
  "x-amz-credential",
  "x-amz-security-token",
  "x-amz-signature",
]);

/** Empty where the target has no query. Percent-encoding stays as the client wrote it. */
export function maskedQuery(target: string): string {
  const start = target.indexOf("?");
  if (start === -1 || start === target.length - 1) return "";
  const pairs = target.slice(start + 1, start + 1 + 2 * shownCharactersMax).split("&");
  const shown = pairs.map(maskedPair).join("&");
  const cut = shown.length > shownCharactersMax ? `${shown.slice(0, shownCharactersMax)}…` : shown;
  return cut.toWellFormed();
}

function maskedPair(pair: string): string {
  const equals = pair.indexOf("=");
  const rawName = equals === -1 ? pair : pair.slice(0, equals);
  const decoded = percentDecode(rawName);
  if (decoded === undefined) return hidden;
  const name = decoded.toLowerCase();
  if (openNames.has(name)) return pair;
  if (namedSecrets.has(name)) return `${name}=${hidden}`;
  return equals === -1 && isSubResource(decoded) ? pair : hidden;
}
