/**
 * The requests to the bucket of the S3 cachestore: read, look, put and delete, each of them one attempt. A key is a
 * chunk path, and an object contains only the chunk's bytes, so Orca can use a bucket that the Go Orca filled. This
 * file alone decides what a status means.
 */
import type { ByteSink } from "../../../base/byte-sink.ts";
import type { Clock, Timer } from "../../../base/clock.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import type { RemoteFaults } from "../../../http-client/remote-faults.ts";
import type { ResponseHead } from "../../../http-client/response-head.ts";
import type { SignedRequests } from "../../../s3-client/signed-requests.ts";
import { blockSizeBytes } from "../../chunk-file/chunk-file.ts";
import { blocksAround, CheckedSink, type ChunkRange } from "./checked-sink.ts";
import { blockCrcsOf, type ChunkDigest, digestHeaders, isOfObjectSize } from "./chunk-digest.ts";
import { S3ErrorDocument } from "./s3-error-document.ts";

/** The errors for faults of the HTTP client in requests to the cachestore. */
export const storeFaults: RemoteFaults = {
  source: "cachestore",
  unavailable: "store_unavailable",
  unsupported: "store_unavailable",
  noCredentials: "store_denied",
};

/**
 * `checked`, `unchecked`: all bytes have arrived, with or without checksums of their blocks. `absent`: there is no such
 * object. `missized`: its size is not the size of the chunk, or it is a chunk of an object of another size. `damaged`: a
 * checksum is wrong; the sink holds the blocks before it.
 */
export type BucketRead = "checked" | "unchecked" | "absent" | "missized" | "damaged";

/** The sizes by which a chunk is known. */
export interface ChunkSizes {
  readonly chunkLengthBytes: number;
  readonly objectSizeBytes: number;
}

/**
 * `taken`: the condition did not hold. `unsupported`: the store has no conditions. `full`: no room, or a quota is used
 * up.
 */
export type BucketPut = "stored" | "taken" | "unsupported" | "full";

export interface ChunkBucketOptions {
  readonly requests: SignedRequests;
  readonly name: string;
  /** The time in which a block of 1 MiB must arrive. A slower store is as good as down. */
  readonly blockTimeoutMs: number;
  readonly clock: Clock;
}

export class ChunkBucket {
  readonly name: string;
  readonly #requests: SignedRequests;
  readonly #blockTimeoutMs: number;
  readonly #clock: Clock;

  constructor(options: ChunkBucketOptions) {
    this.name = options.name;
    this.#requests = options.requests;
    this.#blockTimeoutMs = options.blockTimeoutMs;
    this.#clock = options.clock;
  }

  /**
   * Reads a range of a chunk into `sink`, in whole blocks. The sink is not used after the promise has settled.
   * @throws OrcaError store_unavailable, store_denied; the reason of `signal`.
   */
  async read(
    key: string,
    range: ChunkRange,
    objectSizeBytes: number,
    sink: ByteSink,
    signal: AbortSignal,
  ): Promise<BucketRead> {
    const action = `Cannot read "${this.name}/${key}"`;
    const { start, end } = blocksAround(range);
    const stop = new AbortController();
    let outcome: BucketRead = "checked";
    let timer: Timer | undefined;
    const onBlock = (isRight: boolean): void => {
      if (isRight) return timer?.refresh();
      outcome = "damaged";
      stop.abort();
    };
    const onHead = (head: ResponseHead): ByteSink | null => {
      outcome = judgeRead(head, start, end, range.chunkLengthBytes, action);
      if (outcome === "checked" && !isOfObjectSize(head.headers, objectSizeBytes)) outcome = "missized";
      if (outcome !== "checked") return null;
      timer = this.#clock.timer(this.#blockTimeoutMs, () =>
        stop.abort(unavailable(`${action}: no whole block within ${this.#blockTimeoutMs} ms`)),
      );
      const blockCrcs = blockCrcsOf(head.headers, Math.ceil(range.chunkLengthBytes / blockSizeBytes));
      if (blockCrcs === "malformed") {
        outcome = "damaged";
        return null;
      }
      if (blockCrcs !== "absent") return new CheckedSink(sink, range, blockCrcs, onBlock);
      outcome = "unchecked";
      return new CheckedSink(sink, range, undefined, onBlock);
    };
    try {
      const request = {
        method: "GET",
        bucket: this.name,
        key,
        headers: { range: `bytes=${start}-${end - 1}` },
      } as const;
      await this.#requests.request(request, onHead, AbortSignal.any([signal, stop.signal]));
    } catch (thrown) {
      if (!isDamaged(outcome)) throw thrown;
    } finally {
      timer?.cancel();
    }
    return outcome;
  }

  /** Whether there is an object, and whether it has these sizes. @throws like {@link read}. */
  async look(key: string, sizes: ChunkSizes, signal: AbortSignal): Promise<"held" | "missized" | "absent"> {
    const head = await this.#requests.request({ method: "HEAD", bucket: this.name, key }, () => null, signal);
    if (head.status === 404) return "absent";
    if (head.status !== 200 || head.contentLength === undefined) {
      throw errorOf(head, `Cannot look for "${this.name}/${key}"`);
    }
    const isHeld =
      head.contentLength === sizes.chunkLengthBytes && isOfObjectSize(head.headers, sizes.objectSizeBytes);
    return isHeld ? "held" : "missized";
  }

  /**
   * Stores an object. `none`: it replaces an object with this key. `absent`: it is stored only if there is none.
   * @throws like {@link read}.
   */
  async put(
    key: string,
    blocks: readonly Uint8Array[],
    digest: ChunkDigest,
    objectSizeBytes: number,
    condition: "none" | "absent",
    signal: AbortSignal,
  ): Promise<BucketPut> {
    const request = {
      method: "PUT",
      bucket: this.name,
      key,
      headers: {
        ...(condition === "absent" ? { "if-none-match": "*" } : {}),
        ...digestHeaders(digest, objectSizeBytes),
      },
      payload: { slices: blocks, sha256: digest.sha256 },
    } as const;
    const errorDocument = new S3ErrorDocument();
    const head = await this.#requests.request(
      request,
      (answer) => (answer.status === 403 ? errorDocument.sink(answer) : null),
      signal,
    );
    if (head.status === 200) return "stored";
    if (head.status === 507 || errorDocument.code === "QuotaExceeded") return "full";
    // 409 is the answer to one of two puts at the same time (AWS), 412 the answer to a later one.
    if (condition === "absent" && (head.status === 412 || head.status === 409)) return "taken";
    if (condition === "absent" && head.status === 501) return "unsupported";
    throw errorOf(head, `Cannot write "${this.name}/${key}"`);
  }

  /** Deletes an object, if it exists. @throws like {@link read}. */
  async delete(key: string, signal: AbortSignal): Promise<void> {
    const head = await this.#requests.request(
      { method: "DELETE", bucket: this.name, key },
      () => null,
      signal,
    );
    if (head.status >= 300 && head.status !== 404) throw errorOf(head, `Cannot delete "${this.name}/${key}"`);
  }
}

/** `checked` if the body is exactly the bytes `[start, end)` of an object of the right size. */
function judgeRead(
  head: ResponseHead,
  start: number,
  end: number,
  sizeBytes: number,
  action: string,
): "checked" | "absent" | "missized" {
  if (head.status === 404) return "absent";
  // The range begins after the end of the object.
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

/** A function, because the compiler does not see the assignment in a callback. */
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
