/**
 * Checks that a bucket is fit to hold chunks, and finds out how to put them. The bucket must not have versions: an
 * overwritten or deleted chunk would still take room, and Ceph RGW ignores conditions in such a bucket. The check tries
 * everything else under a name of its own: put, put again, get, compare, delete, look.
 */
import { randomBytes, randomUUID } from "node:crypto";
import type { ByteSink } from "../../../base/byte-sink.ts";
import type { Clock } from "../../../base/clock.ts";
import { OrcaError } from "../../../base/orca-error.ts";
import { withDeadline } from "../../../http-client/with-deadline.ts";
import type { SignedRequests } from "../../../s3-client/signed-requests.ts";
import { type BucketPut, type ChunkBucket, storeFaults } from "./chunk-bucket.ts";
import { digestOf } from "./chunk-digest.ts";

/** `conditional`: put only if there is no object (`If-None-Match: *`). `stat`: look, then put. */
export type PutPolicy = "conditional" | "stat";

export interface CachestoreCheck {
  readonly requests: SignedRequests;
  readonly bucket: ChunkBucket;
  readonly commit: PutPolicy | "auto";
  /** For messages. */
  readonly endpoint: string;
  /** For each request of the SDK. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** More bytes than arrive with a response head, so that both ways to receive a body are tried. */
const probeSizeBytes = 100_000;

/**
 * Resolves with the way to put. @throws OrcaError `config_invalid`, with the reason and what to do, if the bucket is
 * not fit to hold chunks or is unreachable.
 */
export async function checkCachestoreBucket(check: CachestoreCheck): Promise<PutPolicy> {
  await checkBucket(check);
  const key = `_orca-selftest/${randomUUID()}`;
  try {
    return await tryOut(check, key);
  } catch (thrown) {
    await check.bucket.delete(key, check.signal).catch(() => {});
    if (thrown instanceof OrcaError && thrown.code === "config_invalid") throw thrown;
    throw unfit(
      check,
      `its self-test failed (${reasonOf(thrown)})`,
      "see to it that Orca may list it, and get, put and delete its objects",
      thrown,
    );
  }
}

const reach = "reach it";

/** Those of Orca's own credentials for the store. */
const variables = ["ORCA_CACHESTORE_S3_ACCESS_KEY", "ORCA_CACHESTORE_S3_SECRET_KEY"];

async function checkBucket(check: CachestoreCheck): Promise<void> {
  const { requests, bucket } = check;
  const { HeadBucketCommand, GetBucketVersioningCommand } = await import("@aws-sdk/client-s3");
  const sdk = await requests.sdk();
  const Bucket = bucket.name;
  await ask(check, reach, (signal) => sdk.send(new HeadBucketCommand({ Bucket }), { abortSignal: signal }));
  const versioning = await ask(check, "ask for its versioning", async (signal) => {
    try {
      return (await sdk.send(new GetBucketVersioningCommand({ Bucket }), { abortSignal: signal })).Status;
    } catch (thrown) {
      // A store that does not support this request has no versions.
      if (statusOf(thrown) === 501) return undefined;
      throw thrown;
    }
  });
  if (versioning === undefined) return;
  throw unfit(check, `its versioning is ${versioning}`, "use a bucket that never had versioning");
}

async function ask<Answer>(
  check: CachestoreCheck,
  what: string,
  question: (signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const { clock, timeoutMs, signal } = check;
  const action = `Cannot ${what}`;
  try {
    return await withDeadline({ clock, timeoutMs, action, faults: storeFaults, signal }, question);
  } catch (thrown) {
    if (thrown instanceof OrcaError && thrown.code === storeFaults.noCredentials) {
      const remedy = `set ${variables.join(" and ")}, or give credentials that the AWS SDK finds`;
      throw unfit(check, "there are no credentials for it", remedy, thrown);
    }
    if (systemCodeOf(thrown) === "EPROTO" && check.endpoint.startsWith("https:")) {
      const reason = "it speaks plain HTTP, and cachestore.s3.endpoint says https";
      throw unfit(check, reason, `write ${check.endpoint.replace("https:", "http:")} there`, thrown);
    }
    const status = statusOf(thrown);
    throw unfit(check, answerFault(what, status, reasonOf(thrown)), remedyOf(status), thrown);
  }
}

/** A store that answers is reached: the words say what its answer means. */
function answerFault(what: string, status: number | undefined, reason: string): string {
  if (status === undefined) return `Orca cannot ${what} (${reason})`;
  const answer = `(the store answered ${status})`;
  switch (status) {
    case 301:
    case 307:
      return `it is in another region ${answer}`;
    case 401:
    case 403:
      return `the store does not let Orca ${what === reach ? "use it" : what} ${answer}`;
    case 404:
      return `it does not exist ${answer}`;
    default:
      return `the store is in trouble, or is no S3 service ${answer}`;
  }
}

async function tryOut(check: CachestoreCheck, key: string): Promise<PutPolicy> {
  const { bucket, commit, signal } = check;
  const first = randomBytes(probeSizeBytes);
  const put = async (body: Buffer, condition: "none" | "absent"): Promise<BucketPut> => {
    const result = await bucket.put(key, [body], digestOf([body]), body.length, condition, signal);
    if (result === "full") throw unfit(check, "it is full", "make room in it or raise its quota");
    return result;
  };
  const takesConditions = commit !== "stat" && (await put(first, "absent")) === "stored";
  if (!takesConditions) await put(first, "none");
  const second = randomBytes(probeSizeBytes);
  const isConditional = (await put(second, takesConditions ? "absent" : "none")) === "taken";
  if (commit === "conditional" && !isConditional) {
    throw unfit(check, "it does not honour If-None-Match", "set cachestore.s3.commit to auto or stat");
  }
  await compare(check, key, isConditional ? first : second);
  await bucket.delete(key, signal);
  const sizes = { chunkLengthBytes: probeSizeBytes, objectSizeBytes: probeSizeBytes };
  if ((await bucket.look(key, sizes, signal)) !== "absent") {
    throw unfit(check, "it still has an object that was deleted", "use a strongly consistent store");
  }
  return isConditional ? "conditional" : "stat";
}

async function compare(check: CachestoreCheck, key: string, expected: Buffer): Promise<void> {
  const received = Buffer.alloc(expected.length);
  let receivedBytes = 0;
  const sink: ByteSink = {
    space: () => received.subarray(receivedBytes),
    advance: (lengthBytes) => {
      receivedBytes += lengthBytes;
    },
  };
  const range = { offset: 0, lengthBytes: expected.length, chunkLengthBytes: expected.length };
  const outcome = await check.bucket.read(key, range, expected.length, sink, check.signal);
  if (outcome === "unchecked") {
    throw unfit(check, "it loses the metadata of objects", "use a store that keeps x-amz-meta headers");
  }
  if (outcome === "checked" && received.equals(expected)) return;
  const found = outcome === "checked" ? "has other bytes" : `is ${outcome}`;
  throw unfit(check, `an object that it had stored ${found} when read`, "use a strongly consistent store");
}

function unfit(
  { bucket, endpoint }: CachestoreCheck,
  reason: string,
  remedy: string,
  cause?: unknown,
): OrcaError {
  const message = `Cannot use bucket "${bucket.name}" at ${endpoint} as cachestore: ${reason}; ${remedy}`;
  return new OrcaError("config_invalid", "cachestore", message, { cause });
}

function remedyOf(status: number | undefined): string {
  switch (status) {
    case 301:
    case 307:
      return "set cachestore.s3.region to the bucket's";
    case 401:
    case 403:
      return `check the credentials (${variables.join(", ")}) and what they allow`;
    case 404:
      return "create it or check cachestore.s3.bucket";
    default:
      return "check cachestore.s3.endpoint and that the store is up";
  }
}

/** The HTTP status in an error of the SDK. */
function statusOf(thrown: unknown): number | undefined {
  const status: unknown = (thrown as { $metadata?: { httpStatusCode?: unknown } } | undefined)?.$metadata
    ?.httpStatusCode;
  return typeof status === "number" ? status : undefined;
}

/** Of OpenSSL and the system: `EPROTO` is what TLS says to an answer in plain HTTP. */
function systemCodeOf(thrown: unknown): unknown {
  return thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
