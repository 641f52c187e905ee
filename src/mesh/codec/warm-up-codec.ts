/**
 * Encodes a warm-up that is handed on (TakeWarmUp in proto/orca/v1/cache.proto), and decodes the answer. A manifest is larger
 * than a message, so it goes in parts; warm-up-parts.ts puts them together.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TakeWarmUpRequestSchema, TakeWarmUpResponse } from "../../../gen/orca/v1/cache_pb.ts";
import { KiB } from "../../base/units.ts";
import type { HandedWarmUp, OpsPlace } from "../../fill/warming/handed-warm-up.ts";
import { malformedMessage } from "./message-field.ts";

const partBytesMax = 512 * KiB;

/** The requests that hand a warm-up on, in order. */
export function* encodeWarmUp({
  runId,
  source,
  after,
  bytesPerSecond = 0,
  pinUntilMs,
}: HandedWarmUp): Generator<MessageInitShape<typeof TakeWarmUpRequestSchema>> {
  const position = {
    runId,
    after,
    bytesPerSecond: BigInt(Math.ceil(bytesPerSecond)),
    pinUntil: BigInt(Math.ceil(pinUntilMs)),
  };
  if ("prefix" in source) {
    yield { ...position, prefix: source.prefix };
    return;
  }
  const { manifest } = source;
  for (let offset = 0; offset < manifest.length; offset += partBytesMax) {
    yield {
      ...position,
      manifestSize: manifest.length,
      manifestOffset: offset,
      manifestPart: manifest.slice(offset, offset + partBytesMax),
    };
  }
}

/** @throws OrcaError `invalid_argument`. */
export function decodeOpsPlace({ opsPort, opsTls }: TakeWarmUpResponse): OpsPlace {
  if (opsPort < 1 || opsPort > 65_535) throw malformedMessage(`ops_port is ${opsPort}, expected 1 to 65535`);
  return { port: opsPort, isTls: opsTls };
}
