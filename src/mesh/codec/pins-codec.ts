/** Encodes and decodes the answer of Pins (proto/orca/v1/cache.proto). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  PinnedObject as PinnedObjectMessage,
  PinsResponse,
  PinsResponseSchema,
} from "../../../gen/orca/v1/cache_pb.ts";
import type { PinnedObject } from "../../store/disk/pins/disk-pins.ts";
import type { ReplicaPins } from "../../store/disk/pins/replica-pins.ts";
import { malformedMessage, numberField } from "./message-field.ts";
import { decodeObject } from "./object-codec.ts";

/** The last moment that a Date can hold. */
const untilMsMax = 8.64e15;

export function encodePins(pins: ReplicaPins): MessageInitShape<typeof PinsResponseSchema> {
  return {
    chunks: BigInt(pins.chunks),
    chunksMax: BigInt(pins.chunksMax),
    bytes: BigInt(pins.bytes),
    bytesMax: BigInt(pins.bytesMax),
    objects: pins.objects.map(({ originId, bucket, objectKey, chunks, bytes, untilMs }) => ({
      object: { originId, bucket, objectKey },
      chunks: BigInt(chunks),
      bytes: BigInt(bytes),
      until: BigInt(Math.ceil(untilMs)),
    })),
    objectsLeftOff: BigInt(pins.objectsLeftOff),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodePins(message: PinsResponse, objectsMax: number): ReplicaPins {
  const named = message.objects.length;
  if (named > objectsMax) throw malformedMessage(`it names ${named} objects, ${objectsMax} were asked for`);
  return {
    chunks: numberField(message.chunks, "chunks"),
    chunksMax: numberField(message.chunksMax, "chunks_max"),
    bytes: numberField(message.bytes, "bytes"),
    bytesMax: numberField(message.bytesMax, "bytes_max"),
    objects: message.objects.map(decodePinnedObject),
    objectsLeftOff: numberField(message.objectsLeftOff, "objects_left_off"),
  };
}

function decodePinnedObject(message: PinnedObjectMessage): PinnedObject {
  const { originId, location } = decodeObject(message.object);
  return {
    originId,
    bucket: location.bucket,
    objectKey: location.key,
    chunks: numberField(message.chunks, "chunks"),
    bytes: numberField(message.bytes, "bytes"),
    untilMs: numberField(message.until, "until", untilMsMax),
  };
}
