import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { errorTable } from "../../src/base/error-table.ts";
import { type ErrorCode, OrcaError } from "../../src/base/orca-error.ts";
import { type ErrorContext, errorResponse } from "../../src/edge/error-response.ts";
import { Absence } from "../../src/object/versions/absence.ts";
import { anyText } from "../support/any-text.ts";
import { textsOf } from "./xml-text.ts";

const context: ErrorContext = {
  requestId: "00112233445566AA",
  hostId: "HOST",
  isHead: false,
  bucket: "b-1",
  key: "dir/a&b",
};
const codes = Object.keys(errorTable) as ErrorCode[];

function headerOf(headers: readonly string[], name: string): string | undefined {
  const index = headers.indexOf(name);
  return index < 0 ? undefined : headers[index + 1];
}

function retryAfter(code: ErrorCode, retryAfterSeconds?: number): string | undefined {
  const options = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
  return headerOf(errorResponse(new OrcaError(code, "origin", "x", options), context).headers, "Retry-After");
}

test("errorResponse: an S3 error body with all its fields", () => {
  const { status, headers, body } = errorResponse(new OrcaError("no_such_key", "object", "x"), context);
  assert.equal(status, 404);
  assert.equal(
    body,
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>' +
      "<Message>The specified key does not exist.</Message><BucketName>b-1</BucketName><Key>dir/a&amp;b</Key>" +
      "<Resource>/b-1/dir/a&amp;b</Resource><RequestId>00112233445566AA</RequestId><HostId>HOST</HostId></Error>",
  );
  assert.equal(headerOf(headers, "Content-Type"), "application/xml");
  assert.equal(headerOf(headers, "Content-Length"), String(Buffer.byteLength(body)));
  assert.equal(headerOf(headers, "x-amz-request-id"), "00112233445566AA");
});

test("errorResponse: a delete marker and an unknown version say what they are, as S3 does", () => {
  const location = { bucket: "o", key: "secret-prefix/dir/a&b" };
  const marker = { kind: "delete-marker", versionId: "m1", lastModifiedMs: 7000 } as const;
  const answerTo = (versionId?: string, told = true) => {
    const asked = { ...location, ...(versionId !== undefined && { versionId }) };
    const { status, headers, body } = errorResponse(Absence.of(asked, told ? marker : undefined), context);
    assert.ok(!body.includes("secret-prefix"));
    const names = ["x-amz-delete-marker", "x-amz-version-id", "Allow", "Last-Modified"];
    return { status, told: names.map((name) => headerOf(headers, name)), body };
  };
  const deleted = answerTo();
  assert.deepEqual([deleted.status, deleted.told], [404, ["true", "m1", undefined, undefined]]);
  assert.match(deleted.body, /<Code>NoSuchKey<.*<Key>dir\/a&amp;b<\/Key><Resource>/);
  const itself = answerTo("m1");
  const date = "Thu, 01 Jan 1970 00:00:07 GMT";
  assert.deepEqual([itself.status, itself.told], [405, ["true", "m1", "DELETE", date]]);
  assert.match(
    itself.body,
    /<Code>MethodNotAllowed<.*<Method>GET<\/Method><ResourceType>DeleteMarker<\/ResourceType>/,
  );
  const unknown = answerTo("v&1", false);
  assert.deepEqual([unknown.status, unknown.told], [404, [undefined, undefined, undefined, undefined]]);
  assert.match(unknown.body, /<Code>NoSuchVersion<.*<VersionId>v&amp;1<\/VersionId>/);
});

test("errorResponse: every code has its status and a request id", () => {
  for (const code of codes) {
    const { status, headers } = errorResponse(new OrcaError(code, "origin", "x"), context);
    assert.equal(status, errorTable[code].status);
    assert.equal(headerOf(headers, "x-amz-request-id"), context.requestId);
  }
});

test("errorResponse: a HEAD and a 304 have no body", () => {
  for (const code of codes) {
    const { headers, body } = errorResponse(new OrcaError(code, "client", "x"), { ...context, isHead: true });
    assert.equal(body, "");
    assert.equal(headerOf(headers, "Content-Length"), undefined);
  }
  assert.equal(errorResponse(new OrcaError("not_modified", "edge", "x"), context).body, "");
});

test("errorResponse: no word of an error from below reaches the client", () => {
  const secret = "https://user:hunter2@origin.internal/";
  for (const code of codes) {
    for (const source of ["origin", "fill", "object", "disk", "memory", "config"] as const) {
      const error = new OrcaError(code, source, `Cannot read ${secret}`, { cause: new Error(secret) });
      const { headers, body } = errorResponse(error, context);
      assert.ok(!`${headers.join()}${body}`.includes("hunter2"), `${code} from ${source}`);
    }
  }
});

test("errorResponse: what the client got wrong is told in the error's own words", () => {
  const error = new OrcaError("invalid_argument", "client", 'Cannot list objects: max-keys "<x>" is wrong');
  const { body } = errorResponse(error, context);
  assert.deepEqual(textsOf(body, "Message"), ['Cannot list objects: max-keys "<x>" is wrong']);
});

test("errorResponse: invalid_range tells the size of the object", () => {
  const error = new OrcaError("invalid_range", "client", "x");
  const known = errorResponse(error, { ...context, objectSizeBytes: 1000 });
  assert.equal(headerOf(known.headers, "Content-Range"), "bytes */1000");
  assert.deepEqual(textsOf(known.body, "ActualObjectSize"), ["1000"]);
  const onHead = errorResponse(error, { ...context, isHead: true, objectSizeBytes: 0 });
  assert.equal(headerOf(onHead.headers, "Content-Range"), "bytes */0");
});

test("errorResponse: method_not_allowed names the methods that are", () => {
  const { headers } = errorResponse(new OrcaError("method_not_allowed", "client", "x"), context);
  assert.equal(headerOf(headers, "Allow"), "GET, HEAD");
});

test("errorResponse: every 503 says when to come back", () => {
  assert.equal(retryAfter("overloaded"), "1");
  assert.equal(retryAfter("shutting_down"), "1");
  assert.equal(retryAfter("origin_throttled", 7.2), "8");
  for (const odd of [0, -5, Number.NaN]) assert.equal(retryAfter("origin_throttled", odd), "1");
  assert.equal(retryAfter("origin_throttled", Infinity), "3600");
  assert.equal(retryAfter("origin_unavailable", 7), undefined);
});

test("errorResponse: a bucket that is not known is not named", () => {
  const { body } = errorResponse(new OrcaError("invalid_uri", "client", "x"), {
    ...context,
    bucket: "",
    key: "",
  });
  assert.deepEqual(textsOf(body, "BucketName"), []);
  assert.deepEqual(textsOf(body, "Key"), []);
  assert.deepEqual(textsOf(body, "Resource"), ["/"]);
});

test("errorResponse: any key makes a body that can be read", () => {
  fc.assert(
    fc.property(fc.constantFrom(...codes), anyText({ minLength: 1 }), (code, key) => {
      const { body, status } = errorResponse(new OrcaError(code, "client", key), { ...context, key });
      if (status !== 304) assert.deepEqual(textsOf(body, "Code"), [errorTable[code].s3Code]);
    }),
  );
});
