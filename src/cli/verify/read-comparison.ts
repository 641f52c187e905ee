/**
 * Compares one read through Orca with the origin, byte for byte. Orca sends the read as one answer, and the origin is
 * asked for it piece by piece, each pinned to the ETag that the origin told before. So a client holds one piece in memory,
 * whatever the size of the object.
 *
 * An object may be overwritten while it is compared. Bytes are wrong only where both sides name the same ETag. Anything
 * else that is not equal counts as changed if the origin tells another ETag afterwards, or if the object is so young that
 * Orca may still serve what was there before.
 */
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Lifetime } from "../../object/freshness/lifetimes.ts";
import type { GuardedOrigin } from "../../origin/guarded-origin.ts";
import type { ObjectHead, ObjectLocation, OriginHead } from "../../origin/origin.ts";
import type { PlannedRead } from "./read-plan.ts";
import type { ServedObject, ServedObjects } from "./served-objects.ts";

/**
 * - `wrong`: a byte or the length differs, of one and the same ETag.
 * - `stale`: Orca serves another ETag than the origin, for longer than its settings allow.
 * - `missing`: Orca does not find the object, for longer than its settings allow.
 * - `failed`: Orca answers an error, or does not send all.
 * - `unread`: the origin cannot be read, so nothing is known.
 */
export const differenceClasses = ["wrong", "stale", "missing", "failed", "unread"] as const;
export type DifferenceClass = (typeof differenceClasses)[number];

export interface Difference {
  readonly class: DifferenceClass;
  /** As clients name it. */
  readonly key: string;
  readonly read: PlannedRead;
  readonly endpoint: string;
  /** The first byte of the object that differs. Undefined where none does, or none was compared. */
  readonly offset?: number;
  /** What was seen, in words. */
  readonly detail: string;
}

export type ReadOutcome = "equal" | "changed" | Difference;

/** An object of the origin's listing, and what clients call it. */
export interface ComparedObject {
  readonly key: string;
  readonly location: ObjectLocation;
  /** Asked for once, with the first read. */
  head?: Promise<OriginHead>;
}

export interface ReadComparisonOptions {
  readonly served: ServedObjects;
  /** As clients name it. */
  readonly bucket: string;
  readonly origin: GuardedOrigin;
  readonly lifetime: Lifetime;
  /** In memory at once. */
  readonly pieceBytes: number;
  readonly clock: Clock;
  readonly onBytes: (bytes: number) => void;
}

/** Clocks differ, and times of objects have whole seconds. */
const youngSlackMs = 5000;
const shownBytes = 8;

export class ReadComparison {
  readonly #options: ReadComparisonOptions;
  readonly #piece: Buffer;

  constructor(options: ReadComparisonOptions) {
    this.#options = options;
    this.#piece = Buffer.allocUnsafeSlow(options.pieceBytes);
  }

  /** One at a time. Rejects only if `signal` aborts. */
  async compare(object: ComparedObject, read: PlannedRead, signal: AbortSignal): Promise<ReadOutcome> {
    const { origin, served, bucket } = this.#options;
    const difference = (kind: DifferenceClass, detail: string, offset?: number): Difference => {
      const { endpoint } = served;
      return {
        class: kind,
        key: object.key,
        read,
        endpoint,
        detail,
        ...(offset !== undefined && { offset }),
      };
    };
    let head: OriginHead;
    try {
      object.head ??= origin.head(object.location);
      head = await object.head;
    } catch (thrown) {
      return difference("unread", reasonOf(thrown));
    }
    // It was listed a moment ago.
    if (head === null || "kind" in head || head.sizeBytes < read.offset + read.lengthBytes) return "changed";
    if (read.isWhole && head.sizeBytes !== read.lengthBytes) return "changed";
    let answer: ServedObject;
    try {
      answer = await served.get(bucket, object.key, read, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      const { ttlMs, negativeTtlMs } = this.#options.lifetime;
      const isMissing = statusOf(thrown) === 404;
      const allowedMs = isMissing ? negativeTtlMs : ttlMs;
      // Any other error is one, however young the object is, unless it has changed meanwhile.
      if (await this.#hasChanged(object, head, isMissing ? allowedMs : 0)) return "changed";
      const detail = isMissing ? "Orca answers 404; the origin has the object" : errorText(thrown);
      return difference(isMissing ? "missing" : "failed", detail);
    }
    const { body, etag, lengthBytes } = answer;
    try {
      if (etag !== head.etag) {
        if (await this.#hasChanged(object, head, this.#options.lifetime.ttlMs)) return "changed";
        return difference("stale", `Orca serves ETag "${etag}"; the origin has "${head.etag}"`);
      }
      if (lengthBytes !== read.lengthBytes) {
        return difference("wrong", `Content-Length is ${lengthBytes}; expected ${read.lengthBytes}`);
      }
      return await this.#compareBytes({ object, head, read, body, signal, difference });
    } finally {
      body.destroy();
    }
  }

  async #compareBytes(bytes: {
    readonly object: ComparedObject;
    readonly head: ObjectHead;
    readonly read: PlannedRead;
    readonly body: ServedObject["body"];
    readonly signal: AbortSignal;
    readonly difference: (kind: DifferenceClass, detail: string, offset?: number) => Difference;
  }): Promise<ReadOutcome> {
    const { object, head, read, body, signal, difference } = bytes;
    const end = read.offset + read.lengthBytes;
    let at = read.offset;
    /** The bytes that lie in the piece end here. */
    let pieceEnd = at;
    let piece = this.#piece.subarray(0, 0);
    const abort = (): void => void body.destroy();
    signal.addEventListener("abort", abort, { once: true });
    try {
      for await (const slice of body as AsyncIterable<Buffer>) {
        for (let start = 0; start < slice.length; ) {
          if (at === end) return difference("wrong", `Orca sends more than ${read.lengthBytes} bytes`, end);
          if (at === pieceEnd) {
            pieceEnd = Math.min(end, at + this.#piece.length);
            piece = this.#piece.subarray(0, pieceEnd - at);
            const unread = await this.#readPiece(object, head, at, piece, signal);
            if (unread === "changed") return "changed";
            if (unread !== undefined) return difference("unread", unread);
          }
          const lengthBytes = Math.min(slice.length - start, pieceEnd - at);
          const sent = slice.subarray(start, start + lengthBytes);
          const stored = piece.subarray(piece.length - (pieceEnd - at)).subarray(0, lengthBytes);
          if (!sent.equals(stored)) {
            const index = sent.findIndex((byte, position) => byte !== stored[position]);
            return difference("wrong", shownAt(index, sent, stored), at + index);
          }
          at += lengthBytes;
          start += lengthBytes;
          this.#options.onBytes(lengthBytes);
        }
      }
    } catch (thrown) {
      signal.throwIfAborted();
      return difference("failed", `${reasonOf(thrown)} after ${at - read.offset} bytes`, at);
    } finally {
      signal.removeEventListener("abort", abort);
    }
    signal.throwIfAborted();
    if (at < end) return difference("failed", `the answer ends after ${at - read.offset} bytes`, at);
    return "equal";
  }

  /** Fills `piece` from the origin. Resolves with why not, if so. */
  async #readPiece(
    { location }: ComparedObject,
    head: ObjectHead,
    offset: number,
    piece: Buffer,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    let received = 0;
    const sink = {
      space: () => piece.subarray(received),
      advance: (lengthBytes: number) => void (received += lengthBytes),
    };
    const { etag, sizeBytes: objectSizeBytes } = head;
    const range = { ...location, etag, objectSizeBytes, offset, lengthBytes: piece.length };
    try {
      await this.#options.origin.read(range, sink, signal);
      return undefined;
    } catch (thrown) {
      signal.throwIfAborted();
      return thrown instanceof OrcaError && thrown.code === "origin_etag_changed"
        ? "changed"
        : reasonOf(thrown);
    }
  }

  /** Whether the object is another one by now, or was written within the last `allowedMs`. */
  async #hasChanged({ location }: ComparedObject, before: ObjectHead, allowedMs: number): Promise<boolean> {
    let now: OriginHead;
    try {
      now = await this.#options.origin.head(location);
    } catch {
      return false;
    }
    if (now === null || "kind" in now || now.etag !== before.etag) return true;
    const ageMs = this.#options.clock.now() - (now.lastModifiedMs ?? 0);
    return allowedMs > 0 && ageMs < allowedMs + youngSlackMs;
  }
}

function shownAt(index: number, sent: Buffer, stored: Buffer): string {
  const shown = (bytes: Buffer): string => bytes.subarray(index, index + shownBytes).toString("hex");
  return `Orca sends ${shown(sent)}; the origin has ${shown(stored)}`;
}

function statusOf(thrown: unknown): number | undefined {
  return (thrown as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

function errorText(thrown: unknown): string {
  const status = statusOf(thrown);
  return status === undefined
    ? reasonOf(thrown)
    : `Orca answers ${status} ${(thrown as Error).name}: ${reasonOf(thrown)}`;
}

/** An error for several addresses has no message, only a code. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.message || ("code" in thrown ? String(thrown.code) : thrown.name);
}
