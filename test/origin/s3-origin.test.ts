import assert from "node:assert/strict";
import { afterEach, suite, test } from "node:test";
import type { ListRequest, Opening, RangeRequest } from "../../src/origin/origin.ts";
import { S3Origin, type S3OriginOptions } from "../../src/origin/s3-origin.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { response, type ScriptedRequest, ScriptedServer } from "../support/scripted-server.ts";

const never = new AbortController().signal;
const location = { bucket: "b", key: "k" } as const;
const range: RangeRequest = { ...location, etag: "e1", objectSizeBytes: 1000, offset: 100, lengthBytes: 50 };
const listing: ListRequest = {
  bucket: "b",
  prefix: "",
  delimiter: "",
  maxKeys: 1000,
  continuationToken: "",
  startAfter: "",
};
const headers = { ETag: '"e1"', "Content-Length": 1000, "Last-Modified": "Thu, 01 Jan 2026 00:00:07 GMT" };
const partial = { ETag: '"e1"', "Content-Length": 50, "Content-Range": "bytes 100-149/1000" };

function chunked(body: string): Buffer {
  const length = body.length.toString(16);
  return Buffer.from(
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${length}\r\n${body}\r\n0\r\n\r\n`,
  );
}

suite("S3Origin", () => {
  const opened: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
  });

  async function serve(
    onRequest: (request: ScriptedRequest) => void,
    options: Partial<S3OriginOptions> = {},
  ): Promise<{ origin: S3Origin; server: ScriptedServer; clock: FakeClock }> {
    const server = await ScriptedServer.start(onRequest);
    const clock = new FakeClock();
    const origin = new S3Origin({
      id: "s3",
      region: "eu-west-1",
      endpoint: `http://127.0.0.1:${server.port}`,
      usePathStyle: true,
      credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
      connectTimeoutMs: 1000,
      attemptTimeoutMs: 1000,
      stallTimeoutMs: 1000,
      connectionsIdleMax: 4,
      clock,
      ...options,
    });
    opened.push(origin, server);
    return { origin, server, clock };
  }

  const answering = (bytes: Buffer) => serve(({ socket }) => socket.write(bytes));

  test("open: an unpinned GET of the first bytes tells what a HEAD would, but no checksums", async () => {
    const first = { ...partial, "Content-Range": "bytes 0-49/1000", "x-amz-checksum-crc32": "AAAA" };
    const { origin, server } = await answering(response(206, first, patternBytes(1, 0, 50)));
    const sink = new MemorySink(50);
    const openings: Opening[] = [];
    const outcome = await origin.open(
      { ...location, offset: 0, lengthBytes: 50, withChecksums: false },
      (opening) => {
        openings.push(opening);
        return sink;
      },
      never,
    );
    assert.equal(outcome, "opened");
    assertPattern(sink.received, 1, 0);
    const [{ head, lengthBytes } = {}] = openings;
    assert.deepEqual([head?.sizeBytes, head?.etag, lengthBytes], [1000, "e1", 50]);
    assert.deepEqual([head?.checksums, head?.isChecksumUnknown], [undefined, true]);
    const sent = server.requests[0]?.head ?? "";
    assert.match(sent, /^GET \/b\/k HTTP\/1.1\r\n/);
    assert.match(sent, /\r\nrange: bytes=0-49\r\n/);
    assert.doesNotMatch(sent, /if-match|x-amz-checksum-mode/);
  });

  test("open: with checksums it asks for the whole object, without a range", async () => {
    const whole = { ETag: '"e1"', "Content-Length": 50, "x-amz-checksum-crc32": "AAAA" };
    const { origin, server } = await answering(response(200, whole, patternBytes(1, 0, 50)));
    const openings: Opening[] = [];
    await origin.open(
      { ...location, offset: 0, lengthBytes: 8192, withChecksums: true },
      (opening) => {
        openings.push(opening);
        return new MemorySink(50);
      },
      never,
    );
    assert.deepEqual(openings[0]?.head.checksums, { "x-amz-checksum-crc32": "AAAA" });
    assert.equal(openings[0]?.head.isChecksumUnknown, undefined);
    assert.match(server.requests[0]?.head ?? "", /x-amz-checksum-mode: ENABLED/);
    assert.doesNotMatch(server.requests[0]?.head ?? "", /range:/);
  });

  for (const [status, outcome] of [
    [404, null],
    [416, "unsatisfiable"],
  ] as const) {
    test(`open: ${status} is no error, and brings no bytes`, async () => {
      const { origin } = await answering(response(status, { "Content-Length": 0 }));
      const request = { ...location, offset: 100, lengthBytes: 50, withChecksums: false };
      // The look at the bucket gets the same answer.
      const open = () => origin.open(request, () => assert.fail("no bytes"), never);
      if (status === 404) await assert.rejects(open, { code: "no_such_bucket" });
      else assert.equal(await open(), outcome);
    });
  }

  test("read: a signed GET of the literal path, pinned and ranged", async () => {
    const { origin, server } = await answering(response(206, partial, patternBytes(1, 100, 50)));
    const sink = new MemorySink(50);
    await origin.read({ ...range, key: "/a/../b//c d" }, sink, never);
    assertPattern(sink.received, 1, 100);
    const [requestLine, ...lines] = (server.requests[0]?.head ?? "").split("\r\n");
    assert.equal(requestLine, "GET /b//a/../b//c%20d HTTP/1.1");
    const sent = new Map(lines.map((line) => line.split(": ", 2) as [string, string]));
    assert.equal(sent.get("range"), "bytes=100-149");
    assert.equal(sent.get("if-match"), '"e1"');
    assert.equal(sent.get("host"), `127.0.0.1:${server.port}`);
    assert.equal(sent.get("x-amz-date"), "20260101T000000Z");
    assert.match(
      sent.get("authorization") ?? "",
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20260101\/eu-west-1\/s3\/aws4_request, SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date, Signature=[0-9a-f]{64}$/,
    );
  });

  test("read: the whole object may come as a 200", async () => {
    const { origin } = await answering(response(200, headers, patternBytes(1, 0, 1000)));
    const sink = new MemorySink(1000);
    await origin.read({ ...range, offset: 0, lengthBytes: 1000 }, sink, never);
    assertPattern(sink.received, 1, 0);
  });

  test("read: an origin that ignores If-Match, or Range, slips nothing in", async () => {
    for (const [code, answer] of [
      ["origin_etag_changed", response(206, { ...partial, ETag: '"e2"' }, patternBytes(1, 100, 50))],
      ["origin_unsupported", response(200, headers, patternBytes(1, 0, 1000))],
      ["origin_unavailable", response(206, { ...partial, "Content-Length": 51 }, patternBytes(1, 100, 51))],
    ] as const) {
      const { origin } = await answering(answer);
      const sink = new MemorySink(50);
      await rejectsWith(code, origin.read(range, sink, never));
      sink.settle();
      sink.assertUntouched();
      assert.equal(sink.receivedBytes, 0);
    }
  });

  test("head: 404 is a miss, 401 and 403 are Orca's own credentials", async () => {
    // The second answer is for the listing that looks whether there is such a bucket.
    const { origin, server } = await serve(({ socket, index }) =>
      socket.write(response([404, 403, 401, 403][index] ?? 200, { "Content-Length": 0 })),
    );
    assert.equal(await origin.head(location, never), null);
    await rejectsWith("origin_denied", origin.head(location, never));
    await rejectsWith("origin_denied", origin.head(location, never));
    assert.equal(server.requests.length, 4);
  });

  test("head, read: throttling carries Retry-After, as seconds or as a date", async () => {
    const { origin, clock } = await serve(({ socket, index }) => {
      const after = index === 0 ? "3" : new Date(clock.now() + 5000).toUTCString();
      socket.write(response(503, { "Retry-After": after, "Content-Length": 0 }));
    });
    assert.equal((await rejectsWith("origin_throttled", origin.head(location, never))).retryAfterSeconds, 3);
    const read = origin.read(range, new MemorySink(50), never);
    assert.equal((await rejectsWith("origin_throttled", read)).retryAfterSeconds, 5);
  });

  test("head: the region of a bucket that lies elsewhere is in the message", async () => {
    const { origin } = await answering(
      response(301, { "x-amz-bucket-region": "us-east-2", "Content-Length": 0 }),
    );
    assert.match(
      (await rejectsWith("origin_unsupported", origin.head(location, never))).message,
      /"us-east-2"/,
    );
  });

  test("head: no ETag is origin_missing_etag", async () => {
    const { origin } = await answering(response(200, { ...headers, ETag: "" }));
    await rejectsWith("origin_missing_etag", origin.head(location, never));
  });

  test("list: keys are decoded, prefixes too, and the token is handed on", async () => {
    const body = Buffer.from(
      `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>t/2</NextContinuationToken>
       <Contents><Key>a+b%2Bc%01%C3%A9</Key><LastModified>2026-01-01T00:00:07.900Z</LastModified><ETag>&quot;e1&quot;</ETag><Size>7</Size></Contents>
       <CommonPrefixes><Prefix>p%20q/</Prefix></CommonPrefixes></ListBucketResult>`,
    );
    const { origin, server } = await answering(response(200, { "Content-Length": body.length }, body));
    const page = await origin.list({ ...listing, delimiter: "/", startAfter: "a" }, never);
    assert.deepEqual(page, {
      objects: [
        { key: "a b+c\u0001é", sizeBytes: 7, etag: "e1", lastModifiedMs: Date.UTC(2026, 0, 1, 0, 0, 7) },
      ],
      commonPrefixes: ["p q/"],
      nextContinuationToken: "t/2",
    });
    const asked = new URL(`http://h${server.requests[0]?.head.split(" ")[1]}`).searchParams;
    assert.equal(asked.get("start-after"), "a");
    assert.equal(asked.get("delimiter"), "/");
    assert.equal(asked.get("encoding-type"), "url");
  });

  test("list: an answer that is cut, of another kind, too long or too numerous is an error", async () => {
    const contents = "<Contents><Key>k</Key></Contents>";
    for (const [code, body] of [
      ["origin_unavailable", `<ListBucketResult>${contents}`],
      ["origin_unavailable", "<Error><Code>InternalError</Code></Error>"],
      ["origin_unavailable", "<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>"],
      [
        "origin_unsupported",
        `<ListBucketResult><NextContinuationToken>${"t".repeat(8193)}</NextContinuationToken></ListBucketResult>`,
      ],
      ["origin_unsupported", `<ListBucketResult>${contents.repeat(10_001)}</ListBucketResult>`],
      ["origin_unsupported", `<ListBucketResult>${" ".repeat(16 * 2 ** 20)}</ListBucketResult>`],
    ] as const) {
      const { origin } = await answering(chunked(body));
      await rejectsWith(code, origin.list(listing, never));
    }
  });

  test("list: the status decides, and one attempt is one request", async () => {
    const { origin, server } = await serve(({ socket, index }) =>
      socket.write(
        response([404, 403, 503, 500, 400][index] ?? 200, { "Retry-After": 4, "Content-Length": 0 }),
      ),
    );
    await rejectsWith("no_such_bucket", origin.list(listing, never));
    await rejectsWith("origin_denied", origin.list(listing, never));
    assert.equal((await rejectsWith("origin_throttled", origin.list(listing, never))).retryAfterSeconds, 4);
    await rejectsWith("origin_unavailable", origin.list(listing, never));
    await rejectsWith("invalid_argument", origin.list({ ...listing, continuationToken: "stale" }, never));
    assert.equal(server.requests.length, 5);
  });

  test("list: a server that does not answer is origin_unavailable at the deadline", async () => {
    const asked = Promise.withResolvers<void>();
    const { origin, clock } = await serve(() => asked.resolve());
    const failed = rejectsWith("origin_unavailable", origin.list(listing, never));
    await asked.promise;
    await clock.advance(1000);
    await failed;
    assert.equal(clock.pendingTimers, 0);
  });

  test("request_payer: each request says that Orca pays, and signs it", async () => {
    const { origin, server } = await serve(({ socket }) => socket.write(response(200, headers)), {
      requestPayer: true,
    });
    await origin.head(location, never);
    const sent = server.requests[0]?.head ?? "";
    assert.match(sent, /\r\nx-amz-request-payer: requester\r\n/);
    assert.match(sent, /SignedHeaders=[^,]*;x-amz-request-payer,/);
  });

  test("head, read: a version is asked for by its id, which the signature covers", async () => {
    const told = { ...headers, "x-amz-version-id": "a/b c" };
    const { origin, server } = await serve(({ socket, index }) =>
      socket.write(index === 0 ? response(200, told) : response(206, partial, patternBytes(1, 100, 50))),
    );
    const head = await origin.head({ ...location, versionId: "a/b c" }, never);
    assert.ok(head && !("kind" in head) && head.versionId === "a/b c");
    await origin.read({ ...range, versionId: "a/b c" }, new MemorySink(50), never);
    assert.deepEqual(
      server.requests.map(({ head: sent }) => sent.split("\r\n")[0]),
      ["HEAD /b/k?versionId=a%2Fb%20c HTTP/1.1", "GET /b/k?versionId=a%2Fb%20c HTTP/1.1"],
    );
  });

  test("head: an answer about another version is none", async () => {
    for (const [asked, told, isThere] of [
      ["v1", "v1", true],
      ["v1", "v2", false],
      ["v1", undefined, false],
      ["null", undefined, true],
      ["null", "null", true],
      ["null", "v2", false],
    ] as const) {
      const { origin } = await answering(
        response(200, { ...headers, ...(told !== undefined && { "x-amz-version-id": told }) }),
      );
      const head = await origin.head({ ...location, versionId: asked }, never);
      assert.equal(head !== null, isThere, `${asked} ${told}`);
    }
  });

  test("head: a delete marker is 404 without its id, and 405 with it", async () => {
    const marked = {
      "x-amz-delete-marker": "true",
      "x-amz-version-id": "m1",
      "Last-Modified": "Thu, 01 Jan 2026 00:00:07 GMT",
      "Content-Length": 0,
    };
    const { origin, server } = await serve(({ socket, index }) =>
      socket.write(response([404, 405, 405][index] ?? 200, index < 2 ? marked : { "Content-Length": 0 })),
    );
    const marker = { kind: "delete-marker", versionId: "m1", lastModifiedMs: Date.UTC(2026, 0, 1, 0, 0, 7) };
    assert.deepEqual(await origin.head(location, never), marker);
    assert.deepEqual(await origin.head({ ...location, versionId: "m1" }, never), marker);
    await rejectsWith("origin_unsupported", origin.head(location, never));
    assert.equal(server.requests.length, 3);
  });

  test("head: a 400 to a version id is the id's fault where the bucket can be listed, and else the token's", async () => {
    const body = Buffer.from("<ListBucketResult></ListBucketResult>");
    for (const [listStatus, code] of [
      [200, "invalid_version_id"],
      [400, "origin_unsupported"],
      [403, "origin_denied"],
    ] as const) {
      const { origin } = await serve(({ socket, index }) =>
        socket.write(
          index === 0
            ? response(400, { "Content-Length": 0 })
            : response(listStatus, { "Content-Length": body.length }, body),
        ),
      );
      await rejectsWith(code, origin.head({ ...location, versionId: "v" }, never));
    }
  });

  test("part: a 400 is an answer about the part where the bucket can be listed, and else the token's", async () => {
    const body = Buffer.from("<ListBucketResult></ListBucketResult>");
    const request = { ...location, etag: "e-2", objectSizeBytes: 100, partNumber: 2 };
    for (const listStatus of [200, 400]) {
      const { origin, server } = await serve(({ socket, index }) =>
        socket.write(
          index === 0
            ? response(400, { "Content-Length": 0 })
            : response(listStatus, { "Content-Length": body.length }, body),
        ),
      );
      const asked = origin.part(request, never);
      if (listStatus === 200) assert.deepEqual(await asked, { kind: "absent", count: 0 });
      else await rejectsWith("origin_unsupported", asked);
      assert.equal(server.requests.length, 2);
    }
  });

  test("subResource: Orca's own expired token is an error, and a client's is the client's answer", async () => {
    const question = { ...location, query: { acl: "" }, headers: {} };
    const key = { accessKeyId: "a", secretAccessKey: "s" };
    for (const [code, signAs, isAnswer] of [
      ["ExpiredToken", undefined, false],
      ["InvalidArgument", undefined, true],
      ["ExpiredToken", key, true],
    ] as const) {
      const body = Buffer.from(`<Error><Code>${code}</Code></Error>`);
      const { origin } = await answering(response(400, { "Content-Length": body.length }, body));
      const asked = origin.subResource({ ...question, as: signAs }, never);
      if (isAnswer) assert.equal((await asked).status, 400);
      else assert.match((await rejectsWith("origin_unsupported", asked)).message, /400 ExpiredToken/);
    }
  });

  test("listBuckets: a name that no bucket can have is left out, so that a list is no larger than its names", async () => {
    const names = ["a".repeat(255), "b".repeat(256), "c"];
    const buckets = names.map((name) => `<Bucket><Name>${name}</Name></Bucket>`).join("");
    const body = `<ListAllMyBucketsResult><Buckets>${buckets}</Buckets></ListAllMyBucketsResult>`;
    const { origin } = await serve(({ socket }) => socket.write(chunked(body)));
    const listed = await origin.listBuckets(undefined, never);
    assert.deepEqual(
      listed.map(({ name }) => name.length),
      [255, 1],
    );
  });

  test("rightOf: a version is a question of its own, and a delete marker an answer of its own", async () => {
    const statuses = [200, 404, 405, 403, 400];
    const { origin, server } = await serve(({ socket, index }) => {
      const marker = index === 1 || index === 2;
      socket.write(
        response(statuses[index] ?? 200, {
          "Content-Length": 0,
          ...(marker && { "x-amz-delete-marker": "true" }),
        }),
      );
    });
    const question = { ...location, as: undefined, action: "get", delimiter: "", versionId: "v1" } as const;
    const rights = [];
    for (const _ of statuses) rights.push(await origin.rightOf(question, never));
    assert.deepEqual(rights, ["allowed", "deleted", "deleted", "denied", "denied"]);
    assert.match(server.requests[0]?.head ?? "", /^HEAD \/b\/k\?versionId=v1 /);
  });

  test("list: versions and delete markers in their order, and where the next page begins", async () => {
    const body = Buffer.from(
      `<ListVersionsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>a+b%2Bc</NextKeyMarker><NextVersionIdMarker>v1</NextVersionIdMarker>
       <DeleteMarker><Key>a+b%2Bc</Key><VersionId>m1</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-01T00:00:07.900Z</LastModified></DeleteMarker>
       <Version><Key>a+b%2Bc</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><ETag>&quot;e1&quot;</ETag><Size>7</Size><StorageClass>GLACIER</StorageClass></Version>
       <CommonPrefixes><Prefix>p%20q/</Prefix></CommonPrefixes></ListVersionsResult>`,
    );
    const { origin, server } = await answering(response(200, { "Content-Length": body.length }, body));
    const page = await origin.list({ ...listing, startAfter: "a", versionIdMarker: "v0" }, never);
    const key = "a b+c";
    assert.deepEqual(page, {
      objects: [
        {
          key,
          sizeBytes: 0,
          etag: "",
          lastModifiedMs: Date.UTC(2026, 0, 1, 0, 0, 7),
          version: { id: "m1", isLatest: true, isDeleteMarker: true },
        },
        {
          key,
          sizeBytes: 7,
          etag: "e1",
          lastModifiedMs: undefined,
          storageClass: "GLACIER",
          version: { id: "v1", isLatest: false, isDeleteMarker: false },
        },
      ],
      commonPrefixes: ["p q/"],
      nextContinuationToken: "",
      nextVersion: { startAfter: key, versionIdMarker: "v1" },
    });
    const asked = new URL(`http://h${server.requests[0]?.head.split(" ")[1]}`).searchParams;
    assert.deepEqual(
      ["versions", "key-marker", "version-id-marker", "list-type"].map((name) => asked.get(name)),
      ["", "a", "v0", null],
    );
  });

  test("list: a place in the versions that the origin does not know is the client's error", async () => {
    const { origin } = await answering(response(400, { "Content-Length": 0 }));
    const asked = { ...listing, startAfter: "a", versionIdMarker: "v0" };
    await rejectsWith("invalid_version_id", origin.list(asked, never));
  });

  test("close: idle connections are closed", async () => {
    const { origin, server } = await answering(response(200, headers));
    await origin.head(location, never);
    const ended = new Promise((resolve) => server.sockets[0]?.once("close", resolve));
    origin.close();
    await ended;
  });
});
