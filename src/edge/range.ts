/**
 * Parses a Range header for an object of a given size. Only a single byte range is served. S3 ignores a malformed range,
 * and several ranges in one request, and sends the whole object. Orca does the same unless `server.strict_ranges` is set:
 * with it, a client's arithmetic error does not stream a terabyte that nobody wants.
 */

/** Bytes that can be sent. */
export type SatisfiableRange =
  /** No range applies: all bytes, status 200. */
  | { readonly kind: "whole" }
  /** Bytes `start` up to but not including `end`, never empty, status 206. */
  | {
      readonly kind: "range";
      readonly start: number;
      readonly end: number;
      /** How many parts the object has, where these bytes are one of them. */
      readonly partsCount?: number;
    };

/** Unsatisfiable is status 416. Malformed is a header that S3 ignores. */
export type ByteRange = SatisfiableRange | { readonly kind: "unsatisfiable" | "malformed" };

export const wholeObject: SatisfiableRange = { kind: "whole" };
const unsatisfiable: ByteRange = { kind: "unsatisfiable" };
const malformed: ByteRange = { kind: "malformed" };

const tab = 0x09;
const space = 0x20;
const comma = 0x2c;
const dash = 0x2d;
const digitZero = 0x30;
const unitPrefix = "bytes=";

/**
 * RFC 9110 §14.1.2 for one range: closed (`bytes=0-99`), open (`bytes=100-`) or suffix (`bytes=-100`). An end past the
 * object is clamped. A suffix longer than the object is all of it (still a 206). As in S3, an empty object satisfies no
 * range but a suffix, which is all of it (a 200). Ranges in other units are ignored. Several ranges and `last < first` are
 * malformed.
 */
export function parseRange(header: string, sizeBytes: number): ByteRange {
  if (!header.startsWith(unitPrefix) && !hasBytesUnit(header)) return withoutBytesUnit(header);
  let index = unitPrefix.length;
  let end = header.length;
  // The range is a one-element list: empty elements and white space around it are legal (RFC 9110 §5.6.1).
  while (index < end && isListPadding(header.charCodeAt(index))) index += 1;
  while (end > index && isListPadding(header.charCodeAt(end - 1))) end -= 1;

  const firstFrom = index;
  let first = 0;
  for (; index < end && isDigit(header.charCodeAt(index)); index += 1)
    first = appendDigit(first, header, index);
  const firstDigits = index - firstFrom;
  if (index === end || header.charCodeAt(index) !== dash) return malformed;
  index += 1;

  const lastFrom = index;
  let last = 0;
  for (; index < end && isDigit(header.charCodeAt(index)); index += 1)
    last = appendDigit(last, header, index);
  const lastDigits = index - lastFrom;
  if (index !== end) return malformed;

  if (firstDigits === 0) {
    if (lastDigits === 0) return malformed;
    if (last === 0) return unsatisfiable;
    if (sizeBytes === 0) return wholeObject;
    return { kind: "range", start: Math.max(0, sizeBytes - last), end: sizeBytes };
  }
  if (lastDigits > 0 && last < first) return malformed;
  if (first >= sizeBytes) return unsatisfiable;
  return { kind: "range", start: first, end: lastDigits === 0 ? sizeBytes : Math.min(last + 1, sizeBytes) };
}

/**
 * Range units are case-insensitive (RFC 9110 §14.1). This path is for the rare client that does not write `bytes=` in
 * lower case.
 */
function hasBytesUnit(header: string): boolean {
  return header.slice(0, unitPrefix.length).toLowerCase() === unitPrefix;
}

/** An empty header and another unit are ignored. Anything else is malformed. */
function withoutBytesUnit(header: string): ByteRange {
  const value = header.trim();
  return value === "" || /^[!#$%&'*+.^_`|~0-9A-Za-z-]+=/.test(value) ? wholeObject : malformed;
}

function isListPadding(code: number): boolean {
  return code === space || code === tab || code === comma;
}

function isDigit(code: number): boolean {
  return code >= digitZero && code <= digitZero + 9;
}

/**
 * Saturates at 2^53 - 1, so that `bytes=0-18446744073709551615`, which some clients send, means "to the end". No object is
 * that large, so comparisons with its size give the same result as the exact number.
 */
function appendDigit(value: number, header: string, index: number): number {
  return Math.min(value * 10 + (header.charCodeAt(index) - digitZero), Number.MAX_SAFE_INTEGER);
}
