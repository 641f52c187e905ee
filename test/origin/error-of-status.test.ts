import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorCode } from "../../src/base/orca-error.ts";
import { errorOfStatus, parseRetryAfter } from "../../src/origin/error-of-status.ts";

const nowMs = Date.UTC(2026, 0, 1);
const none = (): undefined => undefined;
const withHeader = (name: string, value: string) => (asked: string) => (asked === name ? value : undefined);

test("errorOfStatus: the status decides the code", () => {
  const codes: Readonly<Record<number, ErrorCode>> = {
    301: "origin_unsupported",
    307: "origin_unsupported",
    400: "origin_unsupported",
    401: "origin_denied",
    403: "origin_denied",
    404: "origin_etag_changed",
    408: "origin_unavailable",
    409: "origin_unsupported",
    412: "origin_etag_changed",
    416: "origin_etag_changed",
    429: "origin_throttled",
    500: "origin_unavailable",
    502: "origin_unavailable",
    503: "origin_throttled",
    504: "origin_unavailable",
  };
  for (const [status, code] of Object.entries(codes)) {
    assert.equal(errorOfStatus(Number(status), none, "Cannot x", nowMs).code, code, status);
  }
});

test("errorOfStatus: Azure's code distinguishes an archived blob from other conflicts", () => {
  for (const [remoteCode, code] of [
    ["BlobArchived", "invalid_object_state"],
    ["BlobBeingRehydrated", "invalid_object_state"],
    ["LeaseAlreadyPresent", "origin_unsupported"],
  ] as const) {
    const header = withHeader("x-ms-error-code", remoteCode);
    assert.equal(errorOfStatus(409, header, "Cannot x", nowMs).code, code, remoteCode);
    assert.equal(errorOfStatus(403, header, "Cannot x", nowMs).code, "origin_denied");
  }
});

test("errorOfStatus: a bucket of another region is named", () => {
  const { message } = errorOfStatus(
    301,
    withHeader("x-amz-bucket-region", "eu-west-1"),
    'Cannot read "b/k"',
    nowMs,
  );
  assert.equal(message, 'Cannot read "b/k": the origin answered 301; the bucket lies in region "eu-west-1"');
});

test("errorOfStatus: carries Retry-After", () => {
  assert.equal(errorOfStatus(503, withHeader("retry-after", "7"), "Cannot x", nowMs).retryAfterSeconds, 7);
});

test("parseRetryAfter: seconds, a date, a date that has passed, or nothing that is understood", () => {
  assert.equal(parseRetryAfter("120", nowMs), 120);
  assert.equal(parseRetryAfter(new Date(nowMs + 2500).toUTCString(), nowMs), 2);
  assert.equal(parseRetryAfter(new Date(nowMs - 60_000).toUTCString(), nowMs), 0);
  assert.equal(parseRetryAfter("soon", nowMs), undefined);
  assert.equal(parseRetryAfter(undefined, nowMs), undefined);
});
