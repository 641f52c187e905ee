import assert from "node:assert/strict";
import { createSecretKey } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { AuthError } from "../../../src/edge/auth/auth-error.ts";
import { Authenticator, type AuthMode } from "../../../src/edge/auth/authenticator.ts";
import { Grant } from "../../../src/edge/auth/grant.ts";
import type { AccessKey } from "../../../src/edge/auth/identity.ts";
import { errorResponse } from "../../../src/edge/error-response.ts";
import { anyString, anyText } from "../../support/any-text.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { type ClientKey, presignedHead, type SignedHead, signedHead } from "../../support/signed-get.ts";

const at = new Date("2013-05-24T00:00:00Z");
const grant = new Grant({ buckets: ["*"], prefixes: [], actions: ["get", "list"] });
/** The key of the examples in AWS's documentation. */
const example: ClientKey = {
  accessKeyId: "AKIAIOSFODNN7EXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};
const temporary: ClientKey = { accessKeyId: "ASIA/1", secretAccessKey: "hush", sessionToken: "tok+en/==" };

function accessKey(
  { accessKeyId, secretAccessKey, sessionToken }: ClientKey,
  expiresMs = Infinity,
): AccessKey {
  const identity = { name: accessKeyId, grant };
  return { id: accessKeyId, secret: secretAccessKey, sessionToken, expiresMs, identity };
}

function authenticatorAt(nowMs = at.getTime(), modes: readonly AuthMode[] = ["sigv4"]): Authenticator {
  const authenticator = new Authenticator({ modes, clock: new FakeClock(nowMs) });
  const expired = accessKey({ accessKeyId: "OLD", secretAccessKey: "old" }, at.getTime());
  authenticator.use({
    accessKeys: [accessKey(example), accessKey(temporary), expired],
    certificates: new Map(),
    tokenKeys: [createSecretKey(Buffer.alloc(32, "k"))],
  });
  return authenticator;
}

/** What node:http makes of a head. */
function messageOf({ method, headers }: SignedHead): IncomingMessage {
  const rawHeaders = Object.entries(headers).flat();
  const lower = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return { method, headers: lower, rawHeaders, socket: new Socket() } as unknown as IncomingMessage;
}

function outcomeOf(head: SignedHead, authenticator = authenticatorAt()): string {
  const found = authenticator.authenticate(messageOf(head), head.target);
  if (found instanceof AuthError) return found.code;
  return found === undefined ? "none" : found.name;
}

test("Authenticator: the examples of S3's documentation", () => {
  const scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
  const host = "examplebucket.s3.amazonaws.com";
  const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const signed = (target: string, names: string, signature: string, more: object = {}): SignedHead => ({
    method: "GET",
    target,
    headers: {
      Host: host,
      Authorization: `AWS4-HMAC-SHA256 Credential=${scope},SignedHeaders=${names},Signature=${signature}`,
      "x-amz-content-sha256": emptyHash,
      "x-amz-date": "20130524T000000Z",
      ...more,
    },
  });
  const common = "host;x-amz-content-sha256;x-amz-date";
  const heads = [
    signed(
      "/test.txt",
      "host;range;x-amz-content-sha256;x-amz-date",
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
      { Range: "bytes=0-9" },
    ),
    signed("/?lifecycle", common, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    signed(
      "/?max-keys=2&prefix=J",
      common,
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
    {
      method: "GET",
      target: `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(scope)}&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404`,
      headers: { Host: host },
    },
  ];
  const authenticator = authenticatorAt();
  for (const head of heads) {
    assert.equal(outcomeOf(head, authenticator), example.accessKeyId, head.target);
    // Once more, with the derived key that is cached now.
    assert.equal(outcomeOf(head, authenticator), example.accessKeyId, head.target);
  }
});

test("Authenticator: keys, queries, hosts and payload hashes as AWS's library signs them", async () => {
  const paths = [
    "/b/a//c",
    "/b/a%2Bb",
    "/b/100%25",
    "/b/a%3Bb",
    "/b/%2A",
    "/b/%E1%88%B4",
    "/b/../x/./y",
    "/b/a%20b",
  ];
  for (const path of paths) {
    assert.equal(
      outcomeOf(await signedHead(example, { host: "h:8443", path, at })),
      example.accessKeyId,
      path,
    );
    const presigned = await presignedHead(example, { host: "h:8443", path, at, expiresIn: 60 });
    assert.equal(outcomeOf(presigned), example.accessKeyId, presigned.target);
  }
  const query = { "list-type": "2", prefix: "a b/ሴ*+", delimiter: "/", empty: "", twice: ["b", "a"] };
  for (const host of ["h", "H.Example.COM:8443", "h.:80", "b.s3.example.com", "[::1]:8443"]) {
    for (const payloadHash of ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "a".repeat(64)]) {
      const head = await signedHead(example, {
        host,
        path: "/b",
        query,
        at,
        payloadHash,
        headers: { "Accept-Encoding": "gzip,  br", range: "bytes=0-1" },
      });
      assert.equal(outcomeOf(head), example.accessKeyId, `${host} ${payloadHash}`);
    }
  }
});

test("Authenticator: a signed header in UTF-8, one of whose bytes is a blank in Latin-1", async () => {
  const text = "voil\u00e0  \u1234";
  const head = await signedHead(example, { host: "h", path: "/b/k", at, headers: { "x-amz-meta-a": text } });
  const asReceived = { ...head.headers, "x-amz-meta-a": Buffer.from(text).toString("latin1") };
  assert.equal(outcomeOf({ ...head, headers: asReceived }), example.accessKeyId);
});

test("Authenticator: forms in which some clients sign the same request", async () => {
  const { headers } = await signedHead(example, { host: "h.example.com", path: "/b/k", at });
  assert.equal(
    outcomeOf({ method: "GET", target: "/b/k", headers: { ...headers, host: "H.Example.com.:443" } }),
    example.accessKeyId,
  );
  // curl signs the path as it sends it.
  const raw = await signedHead(example, { host: "h", path: "/b/a*b+c", at });
  assert.equal(outcomeOf(raw), example.accessKeyId);
});

test("Authenticator: everything that is signed counts", async () => {
  const request = { host: "h", path: "/b/k", at, query: { versionId: "1" }, headers: { range: "bytes=0-1" } };
  const good = await signedHead(example, request);
  assert.equal(outcomeOf(good), example.accessKeyId);
  const changed: Record<string, SignedHead> = {
    method: { ...good, method: "HEAD" },
    path: { ...good, target: "/b/other?versionId=1" },
    query: { ...good, target: "/b/k?versionId=2" },
    "more query": { ...good, target: "/b/k?versionId=1&x=y" },
    "less query": { ...good, target: "/b/k" },
    header: { ...good, headers: { ...good.headers, range: "bytes=0-2" } },
    host: { ...good, headers: { ...good.headers, host: "other" } },
    payload: { ...good, headers: { ...good.headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD" } },
  };
  for (const [name, head] of Object.entries(changed))
    assert.equal(outcomeOf(head), "signature_mismatch", name);
  const wrongSecret = await signedHead({ ...example, secretAccessKey: "wrong" }, request);
  assert.equal(outcomeOf(wrongSecret), "signature_mismatch");
  const unsigned = { ...good, headers: { ...good.headers, "x-amz-expected-bucket-owner": "1" } };
  assert.equal(outcomeOf(unsigned), "access_denied");
});

test("Authenticator: the answer to a wrong signature shows what was signed, escaped and bounded", async () => {
  const head = await signedHead(
    { ...example, secretAccessKey: "wrong" },
    {
      host: "h",
      path: "/b/k",
      at,
      headers: { "x-amz-meta-long": `<&>${"x".repeat(20_000)}` },
    },
  );
  const found = authenticatorAt().authenticate(messageOf(head), head.target);
  assert.ok(found instanceof AuthError);
  const { status, body } = errorResponse(found, {
    requestId: "1",
    hostId: "host",
    isHead: false,
    bucket: "b",
    key: "k",
  });
  assert.equal(status, 403);
  assert.match(body, /<Code>SignatureDoesNotMatch<\/Code>/);
  assert.match(
    body,
    /<StringToSign>AWS4-HMAC-SHA256\n20130524T000000Z\n20130524\/us-east-1\/s3\/aws4_request\n[0-9a-f]{64}<\/StringToSign>/,
  );
  assert.match(body, /<CanonicalRequest>GET\n\/b\/k\n\nhost:h\n/);
  assert.match(body, /&lt;&amp;&gt;x/);
  assert.ok(body.length < 40_000, `${body.length} characters`);
  assert.doesNotMatch(body, /wJalrXUtnFEMI/);
});

test("Authenticator: times of signed headers", async () => {
  const minuteMs = 60_000;
  for (const [skewMs, outcome] of [
    [0, example.accessKeyId],
    [15 * minuteMs, example.accessKeyId],
    [-15 * minuteMs, example.accessKeyId],
    [15 * minuteMs + 1000, "request_time_skewed"],
    [-15 * minuteMs - 1000, "request_time_skewed"],
  ] as const) {
    const head = await signedHead(example, { host: "h", path: "/b/k", at });
    assert.equal(outcomeOf(head, authenticatorAt(at.getTime() + skewMs)), outcome, String(skewMs));
  }
  const head = await signedHead(example, { host: "h", path: "/b/k", at });
  const { "x-amz-date": _, ...without } = head.headers;
  assert.equal(outcomeOf({ ...head, headers: without }), "access_denied");
  assert.equal(
    outcomeOf({ ...head, headers: { ...head.headers, "x-amz-date": "yesterday" } }),
    "access_denied",
  );
  const nextDay = { ...head.headers, "x-amz-date": "20130525T000000Z" };
  assert.equal(outcomeOf({ ...head, headers: nextDay }), "authorization_header_malformed");
});

const later = (seconds: number): Authenticator => authenticatorAt(at.getTime() + seconds * 1000);

test("Authenticator: presigned URLs live from a second to seven days", async () => {
  const week = 604_800;
  const presign = (expiresIn: number): Promise<SignedHead> =>
    presignedHead(example, { host: "h", path: "/b/k", at, expiresIn });
  assert.equal(outcomeOf(await presign(1), later(1)), example.accessKeyId);
  assert.equal(outcomeOf(await presign(1), later(2)), "access_denied");
  assert.equal(outcomeOf(await presign(week), later(week)), example.accessKeyId);
  assert.equal(outcomeOf(await presign(week), later(week + 1)), "access_denied");
  assert.equal(outcomeOf(await presign(60), later(-900)), example.accessKeyId);
  assert.equal(outcomeOf(await presign(60), later(-901)), "access_denied");
  const good = await presign(60);
  const cases: readonly [string, (target: string) => string][] = [
    ["authorization_query_malformed", (target) => target.replace("X-Amz-Expires=60", "X-Amz-Expires=604801")],
    ["authorization_query_malformed", (target) => target.replace("X-Amz-Expires=60", "X-Amz-Expires=0")],
    ["authorization_query_malformed", (target) => target.replace("X-Amz-Expires=60", "X-Amz-Expires=-1")],
    ["authorization_query_malformed", (target) => target.replace("X-Amz-Expires=60", "X-Amz-Expires=1e3")],
    ["authorization_query_malformed", (target) => target.replace("&X-Amz-Expires=60", "")],
    ["authorization_query_malformed", (target) => `${target}&X-Amz-Expires=60`],
    ["authorization_query_malformed", (target) => target.replace("HMAC-SHA256", "HMAC-MD5")],
    ["authorization_query_malformed", (target) => target.replace("%2Fs3%2F", "%2Fsts%2F")],
    ["signature_mismatch", (target) => target.replace("X-Amz-Expires=60", "X-Amz-Expires=61")],
    ["signature_mismatch", (target) => target.replace("/b/k", "/b/other")],
    ["signature_mismatch", (target) => target.replace(/Signature=\w{4}/, "Signature=0000")],
    ["invalid_access_key_id", (target) => target.replace("AKIA", "AKIB")],
    ["invalid_request", () => "/b/k?AWSAccessKeyId=A&Expires=1&Signature=x"],
    ["invalid_uri", (target) => `${target}&%zz`],
  ];
  for (const [code, change] of cases) {
    const target = change(good.target);
    assert.equal(outcomeOf({ ...good, target }), code, target);
  }
  const both = { ...good, headers: { ...good.headers, authorization: "Bearer x" } };
  assert.equal(outcomeOf(both), "invalid_argument");
  assert.equal(outcomeOf({ ...good, target: "/b/k?prefix=X-Amz-" }), "none");
});

test("Authenticator: session tokens and expired keys", async () => {
  const request = { host: "h", path: "/b/k", at };
  const { sessionToken: _, ...withoutToken } = temporary;
  for (const sign of [signedHead, (key: ClientKey) => presignedHead(key, { ...request, expiresIn: 60 })]) {
    assert.equal(outcomeOf(await sign(temporary, request)), temporary.accessKeyId);
    assert.equal(outcomeOf(await sign(withoutToken, request)), "invalid_access_key_id");
    assert.equal(outcomeOf(await sign({ ...temporary, sessionToken: "other" }, request)), "invalid_token");
    assert.equal(outcomeOf(await sign({ ...example, sessionToken: "other" }, request)), "invalid_token");
  }
  const old = { accessKeyId: "OLD", secretAccessKey: "old" };
  assert.equal(outcomeOf(await signedHead(old, request)), "expired_token");
  assert.equal(outcomeOf(await signedHead(old, request), authenticatorAt(at.getTime() - 1)), "OLD");
  assert.equal(outcomeOf(await signedHead({ ...old, secretAccessKey: "?" }, request)), "signature_mismatch");
});

test("Authenticator: malformed headers, by what S3 says to them", async () => {
  const head = await signedHead(example, { host: "h", path: "/b/k", at });
  const authorization = head.headers["authorization"] ?? "";
  const cases: readonly [string, string][] = [
    ["authorization_header_malformed", "AWS4-HMAC-SHA256"],
    ["authorization_header_malformed", authorization.replace("/s3/", "/ec2/")],
    ["authorization_header_malformed", authorization.replace("aws4_request", "aws5_request")],
    ["authorization_header_malformed", authorization.replace(/Signature=\w+/, "Signature=abc")],
    [
      "authorization_header_malformed",
      authorization.replace(/SignedHeaders=[^,]+/, `SignedHeaders=${"a;".repeat(100)}host`),
    ],
    ["authorization_header_malformed", authorization.replace(example.accessKeyId, "")],
    ["access_denied", authorization.replace("host;", "")],
    ["invalid_access_key_id", authorization.replace("AKIA", "AKIB")],
    ["invalid_request", "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg="],
    ["invalid_request", "AWS4-ECDSA-P256-SHA256 Credential=x"],
    ["invalid_argument", "Basic eDp5"],
  ];
  for (const [code, text] of cases) {
    assert.equal(outcomeOf({ ...head, headers: { ...head.headers, authorization: text } }), code, text);
  }
  const badHash = { ...head.headers, "x-amz-content-sha256": "none" };
  assert.equal(outcomeOf({ ...head, headers: badHash }), "invalid_argument");
  const { "x-amz-content-sha256": _, ...noHash } = head.headers;
  assert.equal(
    outcomeOf({ ...head, headers: { ...noHash, "content-length": "3" } }),
    "missing_security_header",
  );
  assert.equal(outcomeOf({ method: "GET", target: "/b/k", headers: { host: "h" } }), "none");
});

test("Authenticator: no header and no query makes it throw, and none of them is an identity", () => {
  const authenticator = authenticatorAt(at.getTime(), ["sigv4", "bearer", "mtls"]);
  const scheme = fc.constantFrom(
    "",
    "AWS4-HMAC-SHA256 ",
    "Bearer ",
    "AWS ",
    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=",
  );
  const parameter = fc.constantFrom(
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Expires",
    "X-Amz-Date",
    "X-Amz-Algorithm",
    "X-Amz-SignedHeaders",
    "X-Amz-Security-Token",
  );
  const text = fc.oneof(
    anyText(),
    anyString,
    fc.constantFrom(
      "",
      "/",
      "20130524T000000Z",
      "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request",
      "host",
      "60",
      "AWS4-HMAC-SHA256",
    ),
  );
  const head = fc.record({
    authorization: fc.option(
      fc.tuple(scheme, text).map((parts) => parts.join("")),
      { nil: undefined },
    ),
    date: fc.option(text, { nil: undefined }),
    hash: fc.option(text, { nil: undefined }),
    query: fc.array(fc.tuple(parameter, text, fc.boolean())),
  });
  fc.assert(
    fc.property(head, ({ authorization, date, hash, query }) => {
      const headers: Record<string, string> = { host: "h" };
      if (authorization !== undefined) headers["authorization"] = authorization;
      if (date !== undefined) headers["x-amz-date"] = date;
      if (hash !== undefined) headers["x-amz-content-sha256"] = hash;
      const pairs = query.map(
        ([name, value, encodes]) => `${name}=${encodes ? encodeURIComponent(value.toWellFormed()) : value}`,
      );
      const target = `/b/k?${pairs.join("&")}`;
      const found = authenticator.authenticate(messageOf({ method: "GET", target, headers }), target);
      assert.ok(found === undefined || found instanceof AuthError);
    }),
    { numRuns: 2000 },
  );
});
