/**
 * Which bytes of a version a GET reads, as its headers say. Object handler and engine must agree: the engine begins a read
 * for a thread together with its answer to the look-up (threads/engine-desk.ts).
 */
import type { Clock } from "../../base/clock.ts";
import type { ReadHeaders } from "../../object/object-lookups.ts";
import type { ObjectHead } from "../../origin/origin.ts";
import { evaluateConditions, rangeApplies } from "../conditions.ts";
import { type ByteRange, parseRange, wholeObject } from "../range.ts";

const names = [
  "range",
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
] as const;

/** Characters. Longer headers are not sent: the number of questions on their way is bounded, and not their bytes. */
export const readHeadersLengthMax = 512;

/** These headers alone, of all that a request has. Undefined where they are long: then the thread opens the read itself. */
export function readHeadersOf(headers: ReadHeaders): ReadHeaders | undefined {
  const read: { -readonly [Name in keyof ReadHeaders]: ReadHeaders[Name] } = {};
  let length = 0;
  for (const name of names) {
    const value = headers[name];
    if (value === undefined) continue;
    read[name] = value;
    length += value.length;
  }
  return length <= readHeadersLengthMax ? read : undefined;
}

/** Conditions left aside. */
export function byteRangeOf(headers: ReadHeaders, head: ObjectHead): ByteRange {
  const { range } = headers;
  return range === undefined || !rangeApplies(headers["if-range"], head)
    ? wholeObject
    : parseRange(range, head.sizeBytes);
}

/** Undefined where it reads none, or where settings of the edge decide that. */
export function wantedBytes(
  headers: ReadHeaders,
  head: ObjectHead,
  clock: Pick<Clock, "now">,
): readonly [start: number, end: number] | undefined {
  if (head.sizeBytes === 0 || evaluateConditions(headers, head, clock) !== "proceed") return undefined;
  const range = byteRangeOf(headers, head);
  if (range.kind === "whole") return [0, head.sizeBytes];
  return range.kind === "range" ? [range.start, range.end] : undefined;
}
