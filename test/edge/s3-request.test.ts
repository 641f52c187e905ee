import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseS3Request, type S3Request } from "../../src/edge/s3-request.ts";
import { anyKey, anyText } from "../support/any-text.ts";

const get = (url: string, host = "127.0.0.1:8443", domain?: string): S3Request =>
  parseS3Request("GET", url, host, { domain });

/** Bucket and key of a request for an object. */
function objectOf(request: S3Request): readonly [string, string] {
  assert.ok(request.kind === "get-object" || request.kind === "head-object", JSON.stringify(request));
  return [request.bucket, request.key];
}

function refusalOf(request: S3Request): string {
  assert.equal(request.kind, "rejected", JSON.stringify(request));
  return request.kind === "rejected" ? request.error.code : "";
}

test("parseS3Request: GET and HEAD of an object", () => {
  const expected = {
    bucket: "my-bucket",
    key: "dir/a.bin",
    versionId: undefined,
    overrides: [],
    partNumber: 0,
  };
  assert.deepEqual(get("/my-bucket/dir/a.bin"), { kind: "get-object", ...expected });
  assert.deepEqual(parseS3Request("HEAD", "/my-bucket/dir/a.bin", undefined, {}), {
    kind: "head-object",
    ...expected,
  });
});

test("parseS3Request: what the request before named changes nothing", () => {
  const targets: readonly [string, string, string][] = [
    ["/first/k", "first", "k"],
    ["/first2/k", "first2", "k"],
    ["/first/first", "first", "first"],
    ["/firs/t/k", "firs", "t/k"],
    ["/%66irst/k", "first", "k"],
    ["/first/%6b", "first", "k"],
  ];
  for (const [before] of targets) {
    for (const [target, bucket, key] of targets) {
      get(before);
      assert.deepEqual(objectOf(get(target)), [bucket, key], `${target} after ${before}`);
    }
    get(before);
    assert.equal(refusalOf(get("//k")), "no_such_bucket");
    assert.equal(refusalOf(get("/fir%20st/k")), "no_such_bucket");
    assert.deepEqual(objectOf(get("/first/k", "bkt.s3.test", "s3.test")), ["bkt", "first/k"]);
  }
});

test("parseS3Request: keys are taken as the client wrote them", () => {
  for (const [path, key] of [
    ["a%20b", "a b"],
    ["a+b", "a+b"],
    ["a%2Bb", "a+b"],
    ["a%2Fb", "a/b"],
    ["%2F", "/"],
    ["a//b", "a//b"],
    ["/a", "/a"],
    ["a/", "a/"],
    ["/", "/"],
    [".", "."],
    ["..", ".."],
    ["a/../b/./c", "a/../b/./c"],
    ["%2e%2e/x", "../x"],
    ["%C3%A9%F0%9F%90%8B", "é🐋"],
    ["a%3Fb%26c", "a?b&c"],
    ["a#b", "a#b"],
    ["a&b=c;d", "a&b=c;d"],
    ["%25", "%"],
    ["%0A%01", "\n\u0001"],
  ] as const) {
    assert.deepEqual(objectOf(get(`/bucket/${path}`)), ["bucket", key], path);
    assert.deepEqual(objectOf(get(`/${path}`, "bucket.s3.test", "s3.test")), ["bucket", key], path);
  }
});

test("parseS3Request: a path that does not decode is an invalid_uri", () => {
  for (const path of ["%", "%zz", "%ff", "a%00b", "%C0%AF", "a b", "a\tb", "\u0100"]) {
    assert.equal(refusalOf(get(`/bucket/${path}`)), "invalid_uri", path);
  }
  assert.equal(refusalOf(get("/buck%zzet/key")), "invalid_uri");
  assert.equal(refusalOf(get("/bucket/key?x=%zz")), "invalid_uri");
  assert.equal(refusalOf(get("/bucket?prefix=%ff")), "invalid_uri");
});

test("parseS3Request: a key of 1024 bytes is the longest", () => {
  assert.equal(objectOf(get(`/bucket/${"x".repeat(1024)}`))[1].length, 1024);
  assert.equal(refusalOf(get(`/bucket/${"x".repeat(1025)}`)), "key_too_long");
  assert.equal(objectOf(get(`/bucket/${"%C3%A9".repeat(512)}`))[1].length, 512);
  assert.equal(refusalOf(get(`/bucket/${"%C3%A9".repeat(513)}`)), "key_too_long");
});

test("parseS3Request: a name that no bucket can have is a no_such_bucket", () => {
  for (const name of ["x".repeat(256), "..", ".", "a%2Fb", "a%20b", "b%C3%A9b", "a:b", ""]) {
    assert.equal(refusalOf(get(`/${name}/key`)), "no_such_bucket", name);
  }
  assert.deepEqual(objectOf(get("/my%2Dbucket/key")), ["my-bucket", "key"]);
  assert.deepEqual(objectOf(get("/Old_Bucket.1/key")), ["Old_Bucket.1", "key"]);
  assert.deepEqual(objectOf(get("/$web/key")), ["$web", "key"]);
});

test("parseS3Request: with a domain the host names the bucket", () => {
  const domain = "S3.Example.com";
  for (const host of ["my.bucket.s3.example.com", "My.Bucket.S3.EXAMPLE.com:8443"]) {
    assert.deepEqual(objectOf(get("/dir/key", host, domain)), ["my.bucket", "dir/key"], host);
  }
  assert.deepEqual(get("/?list-type=1", "bkt.s3.example.com", domain).kind, "rejected");
  assert.deepEqual(parseS3Request("HEAD", "/", "bkt.s3.example.com", { domain }), {
    kind: "head-bucket",
    bucket: "bkt",
  });
  assert.equal(refusalOf(get("/key", "a_.-very bad.s3.example.com", domain)), "no_such_bucket");
});

test("parseS3Request: the domain itself, an address and any other host are path-style", () => {
  for (const host of [
    "s3.test",
    "s3.test:8443",
    ".s3.test",
    "xs3.test",
    "127.0.0.1:1",
    "[::1]:8443",
    "[::1]",
    "",
    "bkt.s3.test.evil.org",
  ]) {
    assert.deepEqual(objectOf(get("/bucket/key", host, "s3.test")), ["bucket", "key"], host);
  }
  assert.deepEqual(objectOf(parseS3Request("GET", "/bucket/key", undefined, { domain: "s3.test" })), [
    "bucket",
    "key",
  ]);
});

test("parseS3Request: an absolute target is read like its path, and its host counts", () => {
  assert.deepEqual(objectOf(get("http://anywhere:80/bucket/a%20b")), ["bucket", "a b"]);
  assert.deepEqual(objectOf(get("HTTPS://bkt.s3.test/key", "other.s3.test", "s3.test")), ["bkt", "key"]);
  assert.equal(get("http://host").kind, "list-buckets");
  assert.equal(get("http://host?x=1").kind, "list-buckets");
});

test("parseS3Request: a target in no form that HTTP knows is an invalid_uri", () => {
  for (const target of [
    "",
    "*",
    "bucket/key",
    "http://",
    "http:///bucket/key",
    "http://u:p@host/b/k",
    "ftp://host/b/k",
    "host:443",
  ]) {
    assert.equal(refusalOf(get(target)), "invalid_uri", target);
  }
});

test("parseS3Request: every method but GET and HEAD is a method_not_allowed", () => {
  for (const method of ["PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", ""]) {
    assert.equal(
      refusalOf(parseS3Request(method, "/bucket/key", undefined, {})),
      "method_not_allowed",
      method,
    );
  }
  assert.equal(refusalOf(parseS3Request("POST", "/bucket?delete", undefined, {})), "method_not_allowed");
  assert.equal(refusalOf(parseS3Request("OPTIONS", "*", undefined, {})), "method_not_allowed");
});

test("parseS3Request: what is asked of a bucket", () => {
  assert.deepEqual(get("/"), { kind: "list-buckets" });
  assert.deepEqual(get("/?x-id=ListBuckets"), { kind: "list-buckets" });
  for (const path of ["/bucket", "/bucket/"]) {
    assert.deepEqual(parseS3Request("HEAD", path, undefined, {}), { kind: "head-bucket", bucket: "bucket" });
    assert.deepEqual(get(`${path}?location`), { kind: "get-bucket-location", bucket: "bucket" });
    assert.equal(get(path).kind, "list-objects-v1");
    assert.equal(get(`${path}?list-type=2&prefix=a+b%2B`).kind, "list-objects-v2");
  }
  const list = get("/bucket?list-type=2&prefix=a+b%2B&max-keys=5");
  assert.ok(list.kind === "list-objects-v2");
  assert.deepEqual([list.bucket, list.prefix, list.maxKeys], ["bucket", "a b+", 5]);
  assert.equal(refusalOf(get("/bucket?list-type=3")), "invalid_argument");
  assert.equal(refusalOf(get("/bucket?list-type=2&max-keys=-1")), "invalid_argument");
});

test("parseS3Request: sub-resources are no listing and no object, and those that Orca never serves a not_implemented", () => {
  for (const name of ["acl", "attributes", "legal-hold", "retention", "tagging"]) {
    assert.equal(get(`/bucket/key?${name}`).kind, "get-sub-resource", name);
    const request = get(`/bucket/key?x-id=X&${name}=1&versionId=v&partNumber=2`);
    assert.ok(request.kind === "get-sub-resource");
    assert.deepEqual([request.bucket, request.key], ["bucket", "key"]);
    assert.deepEqual(request.query, { [name]: "1", versionId: "v" });
  }
  for (const name of ["torrent", "uploadId", "restore", "policy", "cors", "versioning", "encryption"]) {
    assert.equal(refusalOf(get(`/bucket/key?${name}`)), "not_implemented", name);
  }
  for (const name of ["versioning", "tagging", "policy", "cors", "acl", "encryption", "policyStatus"]) {
    assert.equal(get(`/bucket?${name}`).kind, "get-sub-resource", name);
  }
  for (const name of ["uploads", "attributes", "retention", "session", "delete"]) {
    assert.equal(refusalOf(get(`/bucket?${name}`)), "not_implemented", name);
  }
});

test("parseS3Request: presigned and unknown parameters are ignored", () => {
  const request = get(
    "/bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=abc&x-id=GetObject&foo=bar&ACL",
  );
  assert.deepEqual(request, {
    kind: "get-object",
    bucket: "bucket",
    key: "key",
    overrides: [],
    versionId: undefined,
    partNumber: 0,
  });
});

test("parseS3Request: a version id is visible ASCII, of 1 to 1024 characters", () => {
  for (const versionId of ["abc", "null", "2024-01-01T00:00:00.0000000Z", "x".repeat(1024), "?&="]) {
    const request = get(`/bucket/key?versionId=${encodeURIComponent(versionId)}`);
    assert.ok(request.kind === "get-object");
    assert.deepEqual([request.key, request.versionId], ["key", versionId]);
  }
  for (const versionId of ["", "%20", "a%01b", "%C3%A9", "a%0Ab", "x".repeat(1025)])
    assert.equal(refusalOf(get(`/bucket/key?versionId=${versionId}`)), "invalid_version_id", versionId);
  const named = get("/bucket/key%3FversionId=abc");
  assert.ok(named.kind === "get-object");
  assert.deepEqual([named.key, named.versionId], ["key?versionId=abc", undefined]);
});

test("parseS3Request: versions of a bucket are listed, and those of an object are not_implemented", () => {
  assert.equal(get("/bucket?versions").kind, "list-object-versions");
  assert.equal(get("/bucket?prefix=a&versions=").kind, "list-object-versions");
  assert.equal(refusalOf(get("/bucket/key?versions")), "not_implemented");
  assert.equal(refusalOf(get("/bucket?versions&uploads")), "not_implemented");
});

test("parseS3Request: a part is a number from 1 to 10000", () => {
  for (const partNumber of [1, 2, 10_000]) {
    const request = get(`/bucket/key?partNumber=${partNumber}`);
    assert.ok(request.kind === "get-object");
    assert.equal(request.partNumber, partNumber);
  }
  for (const text of ["", "0", "-1", "10001", "99999", "abc", "1.0", "01"]) {
    assert.equal(refusalOf(get(`/bucket/key?partNumber=${text}`)), "invalid_argument", text);
  }
});

test("parseS3Request: response headers are overridden", () => {
  const request = get(
    "/bucket/key?response-content-type=text%2Fplain&response-expires=never&response-cache-control=",
  );
  assert.ok(request.kind === "get-object");
  assert.deepEqual(request.overrides, ["Content-Type", "text/plain", "Expires", "never"]);
});

test("parseS3Request: an override that a header cannot hold is an invalid_argument", () => {
  for (const value of ["a%0D%0ASet-Cookie:x", "%7F", "%E6%97%A5"]) {
    for (const name of [
      "content-type",
      "content-language",
      "expires",
      "cache-control",
      "content-disposition",
      "content-encoding",
    ]) {
      assert.equal(refusalOf(get(`/bucket/key?response-${name}=${value}`)), "invalid_argument", value);
    }
  }
});

test("parseS3Request: a refusal names what was understood, and no signature", () => {
  const request = get("/bucket/a%20key?torrent&X-Amz-Signature=hunter2");
  assert.ok(request.kind === "rejected");
  assert.deepEqual([request.bucket, request.key], ["bucket", "a key"]);
  const broken = get("/bucket/key?X-Amz-Signature=hunter2&x=%zz");
  assert.ok(broken.kind === "rejected");
  assert.ok(!broken.error.message.includes("hunter2"));
});

test("parseS3Request: every key survives its way through a URL", () => {
  fc.assert(
    fc.property(anyKey({ minLength: 1, maxLength: 60 }), (key) => {
      const path = key.split("/").map(encodeURIComponent).join("/");
      assert.deepEqual(objectOf(get(`/bucket/${path}`)), ["bucket", key]);
      assert.deepEqual(objectOf(get(`/bucket/${encodeURIComponent(key)}?x-id=GetObject`)), ["bucket", key]);
      assert.deepEqual(objectOf(get(`/${path}`, "bucket.s3.test:1", "s3.test")), ["bucket", key]);
    }),
  );
});

test("parseS3Request: any request is understood or refused as the client's fault", () => {
  const pieces = fc.constantFrom(
    "/",
    "//",
    "?",
    "&",
    "=",
    "%",
    "%2",
    "%2F",
    "%00",
    "%ff",
    "bucket",
    "key",
    "..",
    "http://",
    "@",
    "list-type=2",
    "max-keys=",
    "partNumber=",
    "versionId=",
    "response-expires=",
    "acl",
    "#",
    " ",
    "é",
  );
  const text = fc.oneof(
    anyText(),
    fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join("")),
  );
  const url = fc.oneof(
    text,
    text.map((path) => `/${path}`),
    text.map((query) => `/bucket/key?${query}`),
    text.map((query) => `/bucket?${query}`),
  );
  const host = fc.option(fc.oneof(text, fc.constantFrom("bkt.s3.test", "s3.test")), { nil: undefined });
  fc.assert(
    fc.property(
      fc.constantFrom("GET", "HEAD"),
      url,
      host,
      fc.option(fc.constant("s3.test"), { nil: undefined }),
      (method, target, from, domain) => {
        const request = parseS3Request(method, target, from, { domain });
        if (request.kind === "rejected") assert.equal(request.error.source, "client");
        if (request.kind === "get-object" || request.kind === "head-object") {
          assert.match(request.bucket, /^(?!\.{1,2}$)[\w.$-]{1,255}$/);
          assert.ok(
            request.key.length > 0 && Buffer.byteLength(request.key) <= 1024 && !request.key.includes("\0"),
          );
        }
      },
    ),
    { numRuns: 2000 },
  );
});
