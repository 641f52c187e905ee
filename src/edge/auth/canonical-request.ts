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

export interface SignedHeaderLines {
  /** `name:value` and a line end for each signed header, in the order of the client's list. */
  readonly lines: string;
  /** Names that S3 requires in the signature and that are not in the list. */
  readonly unsigned: readonly string[];
}

/** S3 requires that these are signed: their values change what the request means. */
const securedPrefix = "x-amz-";
const payloadHashHeader = "x-amz-content-sha256";

/**
 * The signed headers as they came, with repeated ones joined. `rawHeaders` and not `headers`, because Node drops some
 * repeated headers and joins the others in its own way. One pass: it runs for each request.
 */
export function signedHeaderLines(
  rawHeaders: readonly string[],
  names: readonly string[],
): SignedHeaderLines {
  const values: (string | undefined)[] = new Array(names.length);
  let unsigned: string[] | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] as string).toLowerCase();
    const at = names.indexOf(name);
    if (at >= 0) {
      const value = trimmed(rawHeaders[index + 1] as string);
      const before = values[at];
      values[at] = before === undefined ? value : `${before},${value}`;
    } else if (name.startsWith(securedPrefix) && name !== payloadHashHeader) {
      unsigned ??= [];
      unsigned.push(name);
    }
  }
  if (!names.includes("host")) {
    unsigned ??= [];
    unsigned.push("host");
  }
  let lines = "";
  for (let index = 0; index < names.length; index += 1) lines += `${names[index]}:${values[index] ?? ""}\n`;
  return { lines, unsigned: unsigned ?? noNames };
}

const noNames: readonly string[] = [];

const space = 0x20;

/** Blanks at both ends are removed, and several in a row are one. */
function trimmed(value: string): string {
  const isTrimmed =
    value.charCodeAt(0) > space && value.charCodeAt(value.length - 1) > space && !/ {2}|\t/.test(value);
  return isTrimmed ? value : value.trim().replace(/\s+/g, " ");
}
