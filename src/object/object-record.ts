/**
 * The metadata of one object as a directory keeps it, and what that costs on the heap, estimated from above. A test
 * measures the costs. A directory is bounded by them as well as by its number of entries.
 */
import { isDeepStrictEqual } from "node:util";
import { OrcaError } from "../base/orca-error.ts";
import { KiB } from "../base/units.ts";
import { type ChunkTier, chunkSizeFor } from "../chunk/chunk-layout.ts";
import { contentCodingOf } from "../chunk/content-coding.ts";
import { ObjectVersion } from "../chunk/object-version.ts";
import type { ObjectHead, ObjectLocation } from "../origin/origin.ts";
import { ownText, textBytes } from "./heap-text.ts";
import { Absence } from "./versions/absence.ts";

/** An object as the origin last described it. */
export interface ObjectRecord {
  readonly version: ObjectVersion;
  readonly head: ObjectHead;
  /** Of an expired answer that is used because the source fails. */
  readonly stale?: Staleness | undefined;
  /** For the edge: the headers of its responses, laid out, where they take at most {@link headersLengthMax}. */
  headers?: object | undefined;
}

export interface Staleness {
  /** Since the origin gave the answer, or longer. */
  readonly ageMs: number;
  /** Since its TTL. */
  readonly expiredMs: number;
}

/** A lasting error is a result, too, because it can be cached. */
export type LookupResult =
  | { readonly kind: "found"; readonly record: ObjectRecord }
  | { readonly kind: "error"; readonly error: OrcaError };

/**
 * An entry without its texts: places in maps, the objects, the version's hash, the headers of its responses (of which the
 * edge keeps one set for each record), and a revalidation.
 */
const foundBytes = 950;

/**
 * Characters of the headers of an object's responses. Longer ones are laid out for each response, so that an object with
 * much metadata is not held twice. S3 allows 2 KiB of user metadata.
 */
export const headersLengthMax = 4 * KiB;

/** The same for an error, with its stack. */
const errorBytes = 700;

/** A pair of user metadata, without its texts: a property, and what a header has around name and value. */
const metadataPairBytes = 75;

/** Where a header cannot hold a value, the response has it in base64: four characters for each, and a frame. */
const headerText = /^[\t\x20-\x7e\x80-\xff]*$/;
const encodedBytes = 64;

/** What an entry of a directory takes. */
export function entryBytes(name: string, answer: LookupResult): number {
  if (answer.kind === "error") {
    const { error } = answer;
    const ids = error instanceof Absence ? [error.versionId, error.marker?.versionId] : [];
    const idBytes = ids.reduce((bytes, id = "") => bytes + textBytes(id), 0);
    return errorBytes + textBytes(name) + 2 * textBytes(error.message) + idBytes;
  }
  const { version, head } = answer.record;
  let bytes = foundBytes + textBytes(name) + textBytes(version.objectKey) + 2 * textBytes(version.originId);
  if (version.versionId !== undefined) bytes += textBytes(version.versionId);
  // The headers of the responses have the same texts, in one text of their own.
  let headersBytes = 0;
  for (const value of Object.values(head)) {
    if (typeof value !== "string") continue;
    bytes += textBytes(value);
    headersBytes += value.length;
  }
  for (const [metadataName, value] of Object.entries(head.metadata)) {
    bytes += metadataPairBytes + textBytes(metadataName) + textBytes(value);
    headersBytes += metadataName.length + value.length;
    if (!headerText.test(value)) headersBytes += encodedBytes + 4 * value.length;
  }
  for (const [checksum, value] of Object.entries(head.checksums ?? {})) {
    bytes += metadataPairBytes + textBytes(checksum) + textBytes(value);
    headersBytes += checksum.length + value.length;
  }
  // A base64 text may be a third of its estimate.
  const areKept = headersBytes <= 3 * headersLengthMax;
  return areKept ? bytes + Math.min(headersBytes, headersLengthMax) : bytes;
}

/** The same metadata without a part of the response that it came in. */
export function ownHead(head: ObjectHead): ObjectHead {
  const own: Record<string, unknown> = { ...head };
  for (const [field, value] of Object.entries(own))
    if (typeof value === "string") own[field] = ownText(value);
  own.metadata = ownTexts(head.metadata);
  if (head.checksums) own.checksums = ownTexts(head.checksums);
  return own as unknown as ObjectHead;
}

function ownTexts(texts: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(texts).map(([name, value]) => [ownText(name), ownText(value)]));
}

/** The version that an origin's metadata describes. */
export function versionOf(
  originId: string,
  { bucket, key, versionId }: ObjectLocation,
  { etag, sizeBytes, contentEncoding }: ObjectHead,
  chunkTiers: readonly ChunkTier[],
): ObjectVersion {
  return new ObjectVersion({
    originId,
    bucket,
    objectKey: ownText(key),
    etag,
    contentCoding: contentCodingOf(contentEncoding),
    versionId: versionId === undefined ? undefined : ownText(versionId),
    sizeBytes,
    chunkSizeBytes: chunkSizeFor(sizeBytes, chunkTiers),
  });
}

/** Empty if there is no version to serve. */
export function etagOf(result: LookupResult): string {
  return result.kind === "found" ? result.record.version.etag : "";
}

/** Whether `head` says what `kept` says. */
export function isSame(kept: LookupResult, head: ObjectHead | OrcaError): boolean {
  if (head instanceof OrcaError) return kept.kind === "error" && isSameError(kept.error, head);
  if (kept.kind === "error") return false;
  const { etag, sizeBytes, lastModifiedMs, contentEncoding, storageClass, restore } = kept.record.head;
  if (kept.record.head.isChecksumUnknown && !head.isChecksumUnknown) return false;
  if (head.etag !== etag || head.sizeBytes !== sizeBytes) return false;
  if (head.versionId !== kept.record.head.versionId) return false;
  // Archiving and restoring change neither the ETag nor the date.
  if (head.storageClass !== storageClass || head.restore !== restore) return false;
  if (head.archiveStatus !== kept.record.head.archiveStatus) return false;
  if (head.lastModifiedMs !== lastModifiedMs || head.contentEncoding !== contentEncoding) return false;
  // Without a date, changed headers of the same bytes are found by comparing them.
  return lastModifiedMs !== undefined || isDeepStrictEqual(head, kept.record.head);
}

function isSameError(kept: OrcaError, error: OrcaError): boolean {
  return kept.code === error.code && markerIdOf(kept) === markerIdOf(error);
}

/** Null where there is no delete marker. */
function markerIdOf(error: OrcaError): string | undefined | null {
  return error instanceof Absence && error.marker ? error.marker.versionId : null;
}
