/** Decodes a warm-up that is handed on, whose manifest comes in parts (TakeWarmUp in proto/orca/v1/cache.proto). */
import type { TakeWarmUpRequest } from "../../../gen/orca/v1/cache_pb.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type HandedWarmUp, manifestBytesMax } from "../../fill/warming/handed-warm-up.ts";
import { malformedMessage, numberField, textField } from "./message-field.ts";
import { objectKeyBytesMax } from "./object-name.ts";

/** Of a bucket's name, and of what separates it from a key. */
const bucketBytesMax = 256;
const runIdForm = /^[0-9a-f]{32}$/;
const openMax = 4;
const openMs = 30_000;

/** A manifest of which parts are missing. */
interface OpenManifest {
  readonly manifest: Buffer;
  /** The address of its sender. */
  readonly peer: string;
  readonly timer: Timer;
  bytes: number;
}

/**
 * Manifests of which parts are missing: {@link openMax} at once, of {@link manifestBytesMax} each. One whose next part does
 * not come within {@link openMs} is dropped: its sender stops, and may end before it has sent all. While all places are
 * taken, a peer that has fewer of them takes one from the peer that has the most.
 */
export class WarmUpParts {
  /** By run id, the oldest first. */
  readonly #open = new Map<string, OpenManifest>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * The warm-up, when this is its last part. `peer` is the address of its sender.
   * @throws OrcaError `invalid_argument`; `overloaded` while too many come in parts.
   */
  add(message: TakeWarmUpRequest, peer: string): HandedWarmUp | undefined {
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
    const manifest = this.#manifest(message, peer);
    return manifest && { ...position, source: { manifest } };
  }

  #manifest(
    { runId, manifestSize, manifestOffset, manifestPart }: TakeWarmUpRequest,
    peer: string,
  ): Buffer | undefined {
    if (manifestOffset === 0) this.#begin(runId, manifestSize, peer);
    const open = this.#open.get(runId);
    const isNext = open?.bytes === manifestOffset && open.manifest.length === manifestSize;
    const end = manifestOffset + manifestPart.length;
    if (!open || !isNext || manifestPart.length === 0 || end > manifestSize) {
      this.#drop(runId);
      throw malformedMessage("a part of the manifest does not follow the one before");
    }
    open.manifest.set(manifestPart, manifestOffset);
    open.bytes = end;
    open.timer.refresh();
    if (end < manifestSize) return undefined;
    this.#drop(runId);
    return open.manifest;
  }

  #begin(runId: string, sizeBytes: number, peer: string): void {
    if (sizeBytes < 1 || sizeBytes > manifestBytesMax)
      throw malformedMessage(`manifest_size is ${sizeBytes}, expected 1 to ${manifestBytesMax}`);
    this.#drop(runId);
    if (this.#open.size >= openMax) this.#makeRoomFor(peer);
    const timer = this.#clock.timer(openMs, () => this.#open.delete(runId));
    this.#open.set(runId, { manifest: Buffer.alloc(sizeBytes), peer, timer, bytes: 0 });
  }

  /** @throws OrcaError `overloaded` where no peer has two places more than `peer`: the next one would swap them back. */
  #makeRoomFor(peer: string): void {
    const byPeer = Map.groupBy(this.#open.keys(), (runId) => this.#open.get(runId)?.peer);
    const own = byPeer.get(peer)?.length ?? 0;
    const most = [...byPeer.values()].reduce((left, right) => (right.length > left.length ? right : left));
    const [oldest] = most;
    if (oldest === undefined || most.length - 1 <= own)
      throw new OrcaError("overloaded", "client", `Cannot take a warm-up: ${openMax} others come in parts`);
    this.#drop(oldest);
  }

  #drop(runId: string): void {
    this.#open.get(runId)?.timer.cancel();
    this.#open.delete(runId);
  }
}
