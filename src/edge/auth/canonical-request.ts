/**
 * The canonical request of Signature Version 4: the text that client and server make of one request, each for itself, and
 * that the signature is about. S3 decodes path and query once, encodes them again in one way, and normalises nothing:
 * `//` and dot segments stay (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
 */
import { percentDecode, percentEncode } from "../../base/percent-encoding.ts";

/** Undefined where the path does not decode. `path` is as node:http gives it. */
export function canonicalUri(path: string): string | undefined {
  if (/^[\w.~/-]*$/.test(path)) return path;
  const decoded = percentDecode(path);
  return decoded === undefined ? undefined : percentEncode(decoded);
}

/** A name and a value, decoded. */
export type QueryPair = readonly [name: string, value: string];

/** All pairs of a query, repeated and empty ones too. Undefined where a part does not decode. A `+` is a space. */
export function queryPairs(rawQuery: string): QueryPair[] | undefined {
  const pairs: QueryPair[] = [];
  for (const pair of rawQuery.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = decodePart(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? "" : decodePart(pair.slice(equals + 1));
    if (name === undefined || value === undefined) return undefined;
    pairs.push([name, value]);
  }
  return pairs;
}

/** A presigned URL is signed before it has its signature. */
const signatureParameter = "X-Amz-Signature";

export function canonicalQuery(pairs: readonly QueryPair[]): string {
  const encoded: QueryPair[] = [];
  for (const [name, value] of pairs) {
    if (name !== signatureParameter) encoded.push([encodePart(name), encodePart(value)]);
  }
  encoded.sort(([leftName, leftValue], [rightName, rightValue]) => {
    if (leftName !== rightName) return leftName < rightName ? -1 : 1;
    return leftValue < rightValue ? -1 : leftValue > rightValue ? 1 : 0;
  });
  return encoded.map(([name, value]) => `${name}=${value}`).join("&");
}

function decodePart(text: string): string | undefined {
  return percentDecode(text.includes("+") ? text.replaceAll("+", "%20") : text);
}

function encodePart(text: string): string {
  return /^[\w.~-]*$/.test(text) ? text : percentEncode(text).replaceAll("/", "%2F");
}
