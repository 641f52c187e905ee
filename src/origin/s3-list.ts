/**
 * Requests one page of ListObjectsV2 through the AWS SDK. Keys are requested URL-encoded, because XML cannot carry every
 * character of a key.
 */
import type { ListObjectsV2CommandOutput, S3Client } from "@aws-sdk/client-s3";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { errorOfStatus } from "./error-of-status.ts";
import { strongEtag, wholeSeconds } from "./http-object.ts";
import type { ListedObject, ListPage, ListRequest } from "./origin.ts";

/** The fields of the SDK's errors if the origin has answered. */
interface SdkFailure {
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

/** @see Origin.list */
export async function listS3(
  sdk: S3Client,
  request: ListRequest,
  action: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<ListPage> {
  const { ListObjectsV2Command } = await import("@aws-sdk/client-s3");
  const command = new ListObjectsV2Command({
    Bucket: request.bucket,
    Prefix: request.prefix,
    Delimiter: request.delimiter || undefined,
    MaxKeys: request.maxKeys,
    ContinuationToken: request.continuationToken || undefined,
    StartAfter: request.startAfter || undefined,
    EncodingType: "url",
  });
  let page: ListObjectsV2CommandOutput;
  try {
    page = await sdk.send(command, { abortSignal: signal });
  } catch (thrown) {
    throw errorOfFailure(thrown as SdkFailure, request, action, clock.now());
  }
  return {
    objects: (page.Contents ?? []).map(
      (entry): ListedObject => ({
        key: decodeKey(entry.Key ?? "", page, action),
        sizeBytes: entry.Size ?? 0,
        etag: strongEtag(entry.ETag) ?? "",
        lastModifiedMs: wholeSeconds(entry.LastModified),
      }),
    ),
    commonPrefixes: (page.CommonPrefixes ?? []).map((entry) => decodeKey(entry.Prefix ?? "", page, action)),
    nextContinuationToken: page.NextContinuationToken ?? "",
  };
}

/** Some clones omit `EncodingType` from the answer. Then the keys are not encoded. */
function decodeKey(encoded: string, page: ListObjectsV2CommandOutput, action: string): string {
  if (page.EncodingType !== "url") return encoded;
  try {
    // S3 writes a space as `+`, and a plus sign as %2B.
    return decodeURIComponent(encoded.replaceAll("+", "%20"));
  } catch (cause) {
    throw new OrcaError("origin_unsupported", "origin", `${action}: the key "${encoded}" is not UTF-8`, {
      cause,
    });
  }
}

function errorOfFailure(failure: SdkFailure, request: ListRequest, action: string, nowMs: number): OrcaError {
  const status = failure.$metadata?.httpStatusCode;
  if (status === undefined || status < 300) {
    return OrcaError.from(failure, "origin_unavailable", "origin", action);
  }
  if (status === 404) {
    return new OrcaError("no_such_bucket", "origin", `${action}: the origin has no such bucket`, {
      cause: failure,
    });
  }
  if (status === 400 && request.continuationToken !== "") {
    // The source is the origin, so that the bucket's name appears in the log only.
    return new OrcaError("invalid_argument", "origin", `${action}: the continuation token is not valid`, {
      cause: failure,
    });
  }
  return errorOfStatus(status, (name) => failure.$response?.headers?.[name], action, nowMs);
}
