/** Decodes a warm-up that is handed on, whose manifest comes in parts (TakeWarmUp in proto/orca/v1/cache.proto). */
import type { TakeWarmUpRequest } from "../../../gen/orca/v1/cache_pb.ts";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type HandedWarmUp, manifestBytesMax } from "../../fill/warming/handed-warm-up.ts";
import { malformedMessage, numberField, textField } from "./message-field.ts";
import { objectKeyBytesMax } from "./object-name.ts";

/** Of a bucket's name, and of what separates it from a key. */
const bucketBytesMax = 256;
const runIdForm = /^[0-9a-f]{32}$/;
const openMax = 4;
const openMs = 30_000;

/**
 * Manifests of which parts are missing: {@link openMax} at once, of {@link manifestBytesMax} each. One whose next part does
 * not come within {@link openMs} makes room for another.
 */
export class WarmUpParts {
  readonly #open = new Map<string, { manifest: Buffer; bytes: number; untilMs: number }>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The warm-up, when this is its last part.
   * @throws OrcaError `invalid_argument`; `overloaded` while too many come in parts.
   */
  add(message: TakeWarmUpRequest): HandedWarmUp | undefined {
    const { runId, prefix } = message;
    if (!runIdForm.test(runId)) throw malformedMessage("run_id is not 32 hexadecimal digits");
    const bytesPerSecond = numberField(message.bytesPerSecond, "bytes_per_second");
    const position = {
      runId,
      after: textField(message.after, "after", objectKeyBytesMax),
      bytesPerSecond: bytesPerSecond === 0 ? undefined : bytesPerSecond,
      pinUntilMs: numberField(message.pinUntil, "pin_until"),
    };
    if (prefix !== undefined) {
      textField(prefix, "prefix", bucketBytesMax + objectKeyBytesMax);
      return { ...position, source: { prefix } };
    }
    const manifest = this.#manifest(message);
    return manifest && { ...position, source: { manifest } };
  }

  #manifest({ runId, manifestSize, manifestOffset, manifestPart }: TakeWarmUpRequest): Buffer | undefined {
    const nowMs = this.#clock.monotonic();
    for (const [id, { untilMs }] of this.#open) if (untilMs <= nowMs) this.#open.delete(id);
    if (manifestOffset === 0) this.#begin(runId, manifestSize);
    const open = this.#open.get(runId);
    const isNext = open?.bytes === manifestOffset && open.manifest.length === manifestSize;
    const end = manifestOffset + manifestPart.length;
    if (!open || !isNext || manifestPart.length === 0 || end > manifestSize) {
      this.#open.delete(runId);
      throw malformedMessage("a part of the manifest does not follow the one before");
    }
    open.manifest.set(manifestPart, manifestOffset);
    open.bytes = end;
    open.untilMs = nowMs + openMs;
    if (end < manifestSize) return undefined;
    this.#open.delete(runId);
    return open.manifest;
  }

  #begin(runId: string, sizeBytes: number): void {
    if (sizeBytes < 1 || sizeBytes > manifestBytesMax)
      throw malformedMessage(`manifest_size is ${sizeBytes}, expected 1 to ${manifestBytesMax}`);
    this.#open.delete(runId);
    if (this.#open.size >= openMax)
      throw new OrcaError("overloaded", "client", `Cannot take a warm-up: ${openMax} others come in parts`);
    this.#open.set(runId, { manifest: Buffer.alloc(sizeBytes), bytes: 0, untilMs: this.#clock.monotonic() });
  }
}
