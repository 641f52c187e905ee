/**
 * Where the parts of one version lie, as far as the origin has been asked. Parts are usually of equal size and need not be,
 * so nothing is concluded from one part about another, except their number.
 */
import type { ObjectPart, PartRequest } from "../../origin/origin.ts";
import { textBytes } from "../heap-text.ts";

/** A table without its places: an entry of a map, the objects, an array. */
const tableBytes = 500;

/** Two numbers for each part. */
const placeBytes = 16;

/** In place of an end. No part ends at byte 0. */
const unknown = 0;
const absent = -1;
const untold = -2;

/** What any part of a version tells of all. */
type Told = "range" | "whole" | "untold";

export class PartTable {
  /** No answer is used after it. */
  expiresMs: number;
  readonly #told: Told;
  readonly count: number;
  /** Start and end of each part. */
  readonly #places: Float64Array;

  /** For the version that `part` is of. */
  constructor(part: ObjectPart, expiresMs: number) {
    this.expiresMs = expiresMs;
    this.count = countOf(part);
    this.#told = this.count > 0 ? "range" : part.kind === "whole" ? "whole" : "untold";
    this.#places = new Float64Array(2 * this.count);
  }

  /** Whether an answer about a part fits to those before it. Else the object is another one under the same ETag. */
  fits(part: ObjectPart): boolean {
    return (
      countOf(part) === this.count && (this.count > 0 || (part.kind === "whole") === (this.#told === "whole"))
    );
  }

  bytesUnder(name: string): number {
    return tableBytes + textBytes(name) + placeBytes * this.count;
  }

  /** Undefined where the origin has to be asked. */
  part(partNumber: number): ObjectPart | undefined {
    if (this.#told === "whole") return onlyPart(partNumber);
    if (this.#told === "untold") return { kind: "untold", count: 0 };
    if (partNumber > this.count) return { kind: "absent", count: this.count };
    const start = this.#places[2 * partNumber - 2] ?? 0;
    const end = this.#places[2 * partNumber - 1] ?? unknown;
    if (end === unknown) return undefined;
    if (end === absent) return { kind: "absent", count: this.count };
    if (end === untold) return { kind: "untold", count: this.count };
    return { kind: "range", start, end, count: this.count };
  }

  /** Notes an answer that {@link fits}. */
  add(partNumber: number, part: ObjectPart): void {
    if (partNumber > this.count) return;
    this.#places[2 * partNumber - 2] = part.kind === "range" ? part.start : 0;
    this.#places[2 * partNumber - 1] =
      part.kind === "range" ? part.end : part.kind === "absent" ? absent : untold;
  }
}

/** The parts of an object that is its only part. */
export function onlyPart(partNumber: number): ObjectPart {
  return partNumber === 1 ? { kind: "whole" } : { kind: "absent", count: 1 };
}

/** An MD5, or what S3 puts in its place for encrypted objects: the ETag of a single PUT, and never that of an upload in parts. */
const singlePutEtag = /^[\da-f]{32}$/i;

/** The part where no question is needed. */
export function partWithoutQuestion({
  etag,
  objectSizeBytes,
  partNumber,
}: PartRequest): ObjectPart | undefined {
  return objectSizeBytes === 0 || singlePutEtag.test(etag) ? onlyPart(partNumber) : undefined;
}

function countOf(part: ObjectPart): number {
  return part.kind === "whole" ? 0 : part.count;
}
