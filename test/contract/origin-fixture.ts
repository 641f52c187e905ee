/**
 * What the origin contract needs from each store: a fixture to run on, and what stores cannot have in common. A test
 * that does not apply to a store is not there, rather than there and skipped.
 */
import assert from "node:assert/strict";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import type { ListedObject, ListRequest, ObjectHead, Origin } from "../../src/origin/origin.ts";

/** What is stored beside the bytes. */
export type StoredHeaders = Partial<
  Pick<
    ObjectHead,
    | "contentType"
    | "contentEncoding"
    | "contentLanguage"
    | "contentDisposition"
    | "cacheControl"
    | "expires"
    | "metadata"
  >
>;

/** An origin with its store, for one suite. */
export interface OriginFixture {
  readonly origin: Origin;
  /** A bucket of this suite's own, empty at first. */
  readonly bucket: string;
  /** For stores behind a network. */
  readonly remote?: {
    /** The same store, asked with credentials that it does not know. */
    readonly strangerOrigin: Origin;
    /** An origin whose server is not there. */
    readonly absentOrigin: Origin;
  };
  /** Stores or overwrites an object by other means than the driver under test. */
  put(key: string, body: Buffer, headers: StoredHeaders): Promise<void>;
  delete(key: string): Promise<void>;
  close(): Promise<void>;
}

export interface OriginTraits {
  /** The headers that the store keeps and gives back. */
  readonly storedHeaders: readonly (keyof StoredHeaders)[];
  /** Keys that not every store takes. */
  readonly oddKeys: readonly string[];
  /** Whether the store lists keys in UTF-8 order beyond Unicode's first 65,536 characters too. */
  readonly ordersByUtf8: boolean;
  /** Whether the store lies behind a network and asks who is asking; then its fixture has `remote`. */
  readonly isRemote: boolean;
}

/** A signal that does not abort. */
export function never(): AbortSignal {
  return new AbortController().signal;
}

export async function headOf({ origin, bucket }: OriginFixture, key: string): Promise<ObjectHead> {
  const head = await origin.head({ bucket, key }, never());
  assert.ok(head && !("kind" in head), `the object ${JSON.stringify(key)} is there`);
  return head;
}

export function listOf({ bucket }: OriginFixture, asked: Partial<ListRequest>): ListRequest {
  return {
    bucket,
    prefix: "",
    delimiter: "",
    maxKeys: 1000,
    continuationToken: "",
    startAfter: "",
    ...asked,
  };
}

export function keysOf(objects: readonly ListedObject[]): string[] {
  return objects.map(({ key }) => key);
}

export function rejectsWith(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  return assert.rejects(promise, (thrown) => {
    assert.ok(thrown instanceof OrcaError, `an OrcaError, not ${String(thrown)}`);
    assert.equal(thrown.code, code, thrown.message);
    return true;
  });
}
