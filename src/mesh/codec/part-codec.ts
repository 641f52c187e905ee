/** Encodes and decodes the messages about parts of objects (proto/orca/v1/object.proto). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  HeadObjectRequestSchema,
  HeadObjectResponse,
  HeadObjectResponseSchema,
  ObjectPart as ObjectPartMessage,
  ObjectPartSchema,
  PartQuestion,
} from "../../../gen/orca/v1/object_pb.ts";
import type { ObjectName, PeerPartAnswer, PeerPartRequest } from "../../object/object-peers.ts";
import { type ObjectPart, partsMax } from "../../origin/origin.ts";
import { malformedMessage, numberField } from "./message-field.ts";
import { decodeRemaining, encodeObject, encodeRemaining } from "./object-codec.ts";
import { etagField } from "./object-name.ts";

export function encodePartRequest({
  originId,
  request,
}: PeerPartRequest): MessageInitShape<typeof HeadObjectRequestSchema> {
  const { etag, objectSizeBytes, partNumber } = request;
  return {
    object: encodeObject({ originId, location: request }),
    part: { etag, objectSize: BigInt(objectSizeBytes), partNumber },
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodePartRequest(
  { originId, location }: ObjectName,
  { etag, objectSize, partNumber }: PartQuestion,
): PeerPartRequest {
  const objectSizeBytes = numberField(objectSize, "the size of the object");
  if (objectSizeBytes === 0) throw malformedMessage("an empty object has no parts to ask for");
  if (partNumber < 1 || partNumber > partsMax)
    throw malformedMessage(`part_number is ${partNumber}, expected 1 to ${partsMax}`);
  return { originId, request: { ...location, etag: etagField(etag), objectSizeBytes, partNumber } };
}

export function encodePartAnswer({
  part,
  remainingMs,
}: PeerPartAnswer): MessageInitShape<typeof HeadObjectResponseSchema> {
  return {
    answer: { case: "part", value: encodePart(part) },
    ttlRemainingMs: encodeRemaining(remainingMs),
  };
}

/**
 * Undefined from a peer of a version that knows no parts and has answered with metadata.
 * @throws OrcaError `invalid_argument`.
 */
export function decodePartAnswer(
  { answer, ttlRemainingMs }: HeadObjectResponse,
  { request }: PeerPartRequest,
): PeerPartAnswer | undefined {
  if (answer.case !== "part") return undefined;
  return {
    part: decodePart(answer.value, request.objectSizeBytes),
    remainingMs: decodeRemaining(ttlRemainingMs),
  };
}

function encodePart(part: ObjectPart): MessageInitShape<typeof ObjectPartSchema> {
  switch (part.kind) {
    case "range": {
      const { start, end, count } = part;
      return {
        place: { case: "range", value: { start: BigInt(start), end: BigInt(end), partsCount: count } },
      };
    }
    case "whole":
      return { place: { case: "whole", value: {} } };
    case "absent":
      return { place: { case: "absentOf", value: part.count } };
    case "untold":
      return { place: { case: "untoldOf", value: part.count } };
  }
}

function decodePart({ place }: ObjectPartMessage, objectSizeBytes: number): ObjectPart {
  switch (place.case) {
    case "range": {
      const { partsCount } = place.value;
      const start = numberField(place.value.start, "the start of a part", objectSizeBytes);
      const end = numberField(place.value.end, "the end of a part", objectSizeBytes);
      if (start >= end || partsCount < 1) throw malformedMessage("a part has no bytes");
      return { kind: "range", start, end, count: countField(partsCount) };
    }
    case "whole":
      return { kind: "whole" };
    case "absentOf":
      if (place.value === 0) throw malformedMessage("an absent part is not one of so many");
      return { kind: "absent", count: countField(place.value) };
    case "untoldOf":
      return { kind: "untold", count: countField(place.value) };
    default:
      throw malformedMessage("the place of a part is of an unknown kind");
  }
}

function countField(count: number): number {
  if (count > partsMax)
    throw malformedMessage(`the object has ${count} parts, at most ${partsMax} are known`);
  return count;
}
