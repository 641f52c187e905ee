/**
 * The bucket of the S3 cachestore as four questions, each of them one attempt. Keys are chunk paths and an object is the
 * chunk's bytes alone, so a bucket that the Go Orca filled is read as it is. What a status means is decided here, once.
 */
import type { ByteSink } from "../../../base/byte-sink.ts";
import type { Clock, Timer } from "../../../base/clock.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import type { ResponseHead } from "../../../http-client/response-head.ts";
import type { SignedRequests } from "../../../s3-client/signed-requests.ts";
import { blockSizeBytes } from "../../chunk-file/chunk-file.ts";
import { blocksAround, CheckedSink, type ChunkStretch } from "./checked-sink.ts";
import { blockCrcsOf, type ChunkDigest, digestHeaders } from "./chunk-digest.ts";
import { S3ErrorDocument } from "./s3-error-document.ts";

/**
 * `checked`, `unchecked`: all bytes have arrived, compared with the checksums of their blocks, or there are none.
 * `absent`: there is no such object. `missized`: it has another size than the chunk. `damaged`: a checksum is wrong; the
 * sink holds the blocks before it.
 */
export type BucketRead = "checked" | "unchecked" | "absent" | "missized" | "damaged";

/** `taken`: the condition did not hold. `unsupported`: the store knows no conditions. `full`: it has no room, or a quota. */
export type BucketPut = "stored" | "taken" | "unsupported" | "full";

export interface ChunkBucketOptions {
  readonly wire: SignedRequests;
  readonly name: string;
  /** In which a block of 1 MiB must have come: a store that is slower than that is as good as down. */
  readonly blockTimeoutMs: number;
  readonly clock: Clock;
}

export class ChunkBucket {
  readonly name: string;
  readonly #wire: SignedRequests;
  readonly #blockTimeoutMs: number;
  readonly #clock: Clock;

  constructor(options: ChunkBucketOptions) {
    this.name = options.name;
    this.#wire = options.wire;
    this.#blockTimeoutMs = options.blockTimeoutMs;
    this.#clock = options.clock;
  }

  /**
   * Brings a stretch of a chunk into `sink`, which is not touched once the promise has settled. Whole blocks are read.
   * @throws OrcaError store_unavailable, store_denied; the reason of `signal`.
   */
  async read(key: string, stretch: ChunkStretch, sink: ByteSink, signal: AbortSignal): Promise<BucketRead> {
    const action = `Cannot read "${this.name}/${key}"`;
    const { start, end } = blocksAround(stretch);
    const stop = new AbortController();
    let outcome: BucketRead = "checked";
    let timer: Timer | undefined;
    const onBlock = (isRight: boolean): void => {
      if (isRight) return timer?.refresh();
      outcome = "damaged";
      stop.abort();
    };
    const onHead = (head: ResponseHead): ByteSink | null => {
      outcome = judgeRead(head, start, end, stretch.chunkLengthBytes, action);
      if (outcome !== "checked") return null;
      timer = this.#clock.timer(this.#blockTimeoutMs, () =>
        stop.abort(unavailable(`${action}: no whole block within ${this.#blockTimeoutMs} ms`)),
      );
      const blockCrcs = blockCrcsOf(head.headers, Math.ceil(stretch.chunkLengthBytes / blockSizeBytes));
      if (blockCrcs === "malformed") {
        outcome = "damaged";
        return null;
      }
      if (blockCrcs !== "absent") return new CheckedSink(sink, stretch, blockCrcs, onBlock);
      outcome = "unchecked";
      return new CheckedSink(sink, stretch, undefined, onBlock);
    };
    try {
      const request = {
        method: "GET",
        bucket: this.name,
        key,
        headers: { range: `bytes=${start}-${end - 1}` },
      } as const;
      await this.#wire.request(request, onHead, AbortSignal.any([signal, stop.signal]));
    } catch (thrown) {
      if (!isDamaged(outcome)) throw thrown;
    } finally {
      timer?.cancel();
    }
    return outcome;
  }

  /** Bytes of an object, or undefined where there is none. @throws as {@link read}. */
  async size(key: string, signal: AbortSignal): Promise<number | undefined> {
    const head = await this.#wire.request({ method: "HEAD", bucket: this.name, key }, () => null, signal);
    if (head.status === 404) return undefined;
    if (head.status !== 200 || head.contentLength === undefined) {
      throw errorOf(head, `Cannot look for "${this.name}/${key}"`);
    }
    return head.contentLength;
  }

  /**
   * Stores an object: over another one of this key, or only where there is none yet.
   * @throws as {@link read}.
   */
  async put(
    key: string,
    blocks: readonly Uint8Array[],
    digest: ChunkDigest,
    condition: "none" | "absent",
    signal: AbortSignal,
  ): Promise<BucketPut> {
    const request = {
      method: "PUT",
      bucket: this.name,
      key,
      headers: { ...(condition === "absent" ? { "if-none-match": "*" } : {}), ...digestHeaders(digest) },
      payload: { slices: blocks, sha256: digest.sha256 },
    } as const;
    const refusal = new S3ErrorDocument();
    const head = await this.#wire.request(
      request,
      (answer) => (answer.status === 403 ? refusal.sink(answer) : null),
      signal,
    );
    if (head.status === 200) return "stored";
    if (head.status === 507 || refusal.code === "QuotaExceeded") return "full";
    // 409 is said to one of two that put at the same time (AWS), 412 to one that comes later.
    if (condition === "absent" && (head.status === 412 || head.status === 409)) return "taken";
    if (condition === "absent" && head.status === 501) return "unsupported";
    throw errorOf(head, `Cannot write "${this.name}/${key}"`);
  }

  /** Nothing happens where there is no such object. @throws as {@link read}. */
  async delete(key: string, signal: AbortSignal): Promise<void> {
    const head = await this.#wire.request({ method: "DELETE", bucket: this.name, key }, () => null, signal);
    if (head.status >= 300 && head.status !== 404) throw errorOf(head, `Cannot delete "${this.name}/${key}"`);
  }
}

/** `checked` where the body is exactly the bytes `[start, end)` of an object of the right size. */
function judgeRead(
  head: ResponseHead,
  start: number,
  end: number,
  sizeBytes: number,
  action: string,
): "checked" | "absent" | "missized" {
  if (head.status === 404) return "absent";
  // Behind the end of what is there.
  if (head.status === 416) return "missized";
  const isWhole = start === 0 && end === sizeBytes;
  if (head.status === 200 && isWhole) return head.contentLength === sizeBytes ? "checked" : "missized";
  if (head.status !== 206) throw errorOf(head, action);
  const [, first, last, total] =
    /^bytes (\d+)-(\d+)\/(\d+)$/.exec(head.headers.get("content-range") ?? "") ?? [];
  if (total !== undefined && Number(total) !== sizeBytes) return "missized";
  if (Number(first) !== start || Number(last) !== end - 1 || head.contentLength !== end - start) {
    throw unavailable(`${action}: the store answered another range than bytes ${start} to ${end - 1}`);
  }
  return "checked";
}

/** By a call, since the compiler does not see what a callback wrote. */
function isDamaged(outcome: BucketRead): boolean {
  return outcome === "damaged";
}

function errorOf(head: ResponseHead, action: string): OrcaError {
  const region = head.headers.get("x-amz-bucket-region");
  const hint = region === undefined || head.status < 300 ? "" : `; the bucket lies in region "${region}"`;
  const message = `${action}: the store answered ${head.status}${hint}`;
  if (head.status === 401 || head.status === 403) return new OrcaError("store_denied", "cachestore", message);
  return unavailable(message);
}

function unavailable(message: string): OrcaError {
  return new OrcaError("store_unavailable", "cachestore", message);
}
