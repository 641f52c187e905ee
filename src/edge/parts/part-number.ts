/**
 * `partNumber` of GetObject and HeadObject: the number as a client writes it, and the bytes of the object that it names. The
 * errors have AWS's own words, which clients show.
 */
import { OrcaError } from "../../base/orca-error.ts";
import { type ObjectPart, partsMax } from "../../origin/origin.ts";
import { ExplainedError } from "../errors/explained-error.ts";
import { type SatisfiableRange, wholeObject } from "../range.ts";

/** In place of a number, for a request without `partNumber`. */
export const noPart = 0;

/** Of an error that repeats what the client wrote. */
const argumentLengthMax = 256;

/** 1 to 10,000, or {@link noPart}. */
export function parsePartNumber(text: string | undefined): number | OrcaError {
  if (text === undefined) return noPart;
  const partNumber = /^[1-9]\d{0,4}$/.test(text) ? Number(text) : noPart;
  if (partNumber >= 1 && partNumber <= partsMax) return partNumber;
  const message = `Part number must be an integer between 1 and ${partsMax}, inclusive`;
  return new ExplainedError("invalid_argument", message, [
    ["ArgumentName", "partNumber"],
    ["ArgumentValue", text.slice(0, argumentLengthMax)],
  ]);
}

export function rangeBesidePart(): OrcaError {
  const message = "Cannot specify both Range header and partNumber query parameter";
  return new OrcaError("invalid_request", "client", message);
}

/**
 * The bytes of a part of an object. The only part of an object is a 206 as well, but for an empty one, which has no range.
 * Where the origin does not tell its parts, the first one is the whole object as a 200, as that origin answers itself: by
 * the status a client sees that it has no part. Another part is not guessed, so that no client assembles a wrong object.
 */
export function rangeOfPart(
  part: ObjectPart,
  partNumber: number,
  objectSizeBytes: number,
): SatisfiableRange | OrcaError {
  switch (part.kind) {
    case "range":
      return { kind: "range", start: part.start, end: part.end, partsCount: part.count };
    case "whole":
      return objectSizeBytes === 0 ? wholeObject : { kind: "range", start: 0, end: objectSizeBytes };
    case "untold":
      if (partNumber === 1) return wholeObject;
      return new OrcaError(
        "not_implemented",
        "client",
        `Cannot serve part ${partNumber}: the origin does not tell where the parts of the object lie`,
      );
    case "absent":
      return new ExplainedError("invalid_part_number", "The requested partnumber is not satisfiable", [
        ["ActualPartCount", String(part.count)],
        ["PartNumberRequested", String(partNumber)],
      ]);
  }
}
