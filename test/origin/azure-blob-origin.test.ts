import assert from "node:assert/strict";
import { afterEach, suite, test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import {
  AzureBlobOrigin,
  type AzureBlobOriginOptions,
  isBlobName,
} from "../../src/origin/azure-blob-origin.ts";
import { sharedKeyAuthorization } from "../../src/origin/azure-shared-key.ts";
import type { ListPage, ListRequest, RangeRequest } from "../../src/origin/origin.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { response, type ScriptedRequest, ScriptedServer } from "../support/scripted-server.ts";

const never = new AbortController().signal;
const accountKey = Buffer.from("a secret of some length").toString("base64");
const range: RangeRequest = {
  bucket: "c",
  key: "k",
  etag: "0x8D",
  objectSizeBytes: 1000,
  offset: 100,
  lengthBytes: 50,
};
const blob = {
  ETag: '"0x8D"',
  "x-ms-blob-type": "BlockBlob",
  "Last-Modified": "Thu, 01 Jan 2026 00:00:07 GMT",
};
const partial = { ...blob, "Content-Length": 50, "Content-Range": "bytes 100-149/1000" };

const optionsFor = (endpoint: string): AzureBlobOriginOptions => ({
  id: "az",
  account: "acc",
  accountKey,
  endpoint,
  connectTimeoutMs: 1000,
  attemptTimeoutMs: 1000,
  stallTimeoutMs: 1000,
  connectionsIdleMax: 4,
  clock: new FakeClock(),
});
const keysOf = (page: ListPage): string[] => page.objects.map(({ key }) => key);

suite("AzureBlobOrigin", () => {
  const opened: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close();
  });

  async function serve(onRequest: (request: ScriptedRequest) => void) {
    const server = await ScriptedServer.start(onRequest);
    const origin = new AzureBlobOrigin(optionsFor(`http://127.0.0.1:${server.port}/acc`));
    opened.push(origin, server);
    return { origin, server };
  }

  const answering = (bytes: Buffer) => serve(({ socket }) => socket.write(bytes));

  test("read: a signed GET of a fixed version, pinned and ranged", async () => {
    const { origin, server } = await answering(response(206, partial, patternBytes(1, 100, 50)));
    const sink = new MemorySink(50);
    await origin.read({ ...range, key: "a b/c" }, sink, never);
    assertPattern(sink.received, 1, 100);
    const [requestLine, ...lines] = (server.requests[0]?.head ?? "").split("\r\n");
    assert.equal(requestLine, "GET /acc/c/a%20b/c HTTP/1.1");
    const { authorization, host, ...sent } = Object.fromEntries(lines.map((line) => line.split(": ", 2)));
    assert.equal(host, `127.0.0.1:${server.port}`);
    assert.deepEqual(sent, {
      "x-ms-date": "Thu, 01 Jan 2026 00:00:00 GMT",
      "x-ms-version": "2024-11-04",
      range: "bytes=100-149",
      "if-match": '"0x8D"',
    });
    const key = { account: "acc", key: accountKey };
    assert.equal(authorization, sharedKeyAuthorization(key, "GET", "/acc/c/a%20b/c", sent));
  });

  test("head: the id of the client's request is in the User-Agent, and the signature does not cover it", async () => {
    const { origin, server } = await answering(response(200, { ...blob, "Content-Length": 1000 }));
    await origin.head({ bucket: "c", key: "k" }, never);
    await origin.head({ bucket: "c", key: "k" }, never, "00AB");
    const sent = server.requests.map(({ head }) =>
      Object.fromEntries(
        head
          .split("\r\n")
          .slice(1)
          .map((line) => line.split(": ", 2)),
      ),
    );
    assert.deepEqual(
      sent.map((headers) => headers["user-agent"]),
      [undefined, "orca (request 00AB)"],
    );
    assert.equal(sent[1]?.["authorization"], sent[0]?.["authorization"]);
  });

  test("head: metadata without its prefix, an unquoted ETag", async () => {
    const { origin } = await answering(
      response(200, { ...blob, "Content-Length": 7, "x-ms-meta-Colour": "blue" }),
    );
    const head = await origin.head({ bucket: "c", key: "k" }, never);
    assert.equal(head?.etag, "0x8D");
    assert.deepEqual(head?.metadata, { colour: "blue" });
  });

  test("head, read: a blob in the archive tier has the class of an archived object, and its bytes are invalid_object_state", async () => {
    for (const [archive, storage] of [
      [{ "x-ms-access-tier": "Hot" }, {}],
      [{ "x-ms-access-tier": "Archive" }, { storageClass: "GLACIER" }],
      [
        { "x-ms-access-tier": "Archive", "x-ms-archive-status": "rehydrate-pending-to-hot" },
        { storageClass: "GLACIER", restore: 'ongoing-request="true"' },
      ],
    ] as const) {
      const { origin } = await answering(response(200, { ...blob, "Content-Length": 7, ...archive }));
      const head = await origin.head({ bucket: "c", key: "k" }, never);
      const { storageClass, restore } = head ?? {};
      assert.deepEqual(
        { storageClass, restore },
        { storageClass: undefined, restore: undefined, ...storage },
      );
    }
    const { origin } = await answering(
      response(409, { "x-ms-error-code": "BlobArchived", "Content-Length": 0 }),
    );
    await rejectsWith("invalid_object_state", origin.read(range, new MemorySink(50), never));
  });

  test("head, read: a version is asked for by versionid, which the signature covers, and null is the blob", async () => {
    const versionId = "2026-01-01T00:00:07.1234567Z";
    const { origin, server } = await serve(({ socket, index }) => {
      const told = { ...blob, "Content-Length": 7, ...(index < 3 && { "x-ms-version-id": versionId }) };
      socket.write(index === 1 ? response(206, partial, patternBytes(1, 100, 50)) : response(200, told));
    });
    const location = { bucket: "c", key: "k", versionId };
    assert.equal((await origin.head(location, never))?.versionId, versionId);
    await origin.read({ ...range, key: "k", versionId }, new MemorySink(50), never);
    assert.equal(await origin.head({ ...location, versionId: "null" }, never), null);
    assert.notEqual(await origin.head({ ...location, versionId: "null" }, never), null);
    const sent = server.requests.map(({ head }) => head.split("\r\n"));
    const encoded = "2026-01-01T00%3A00%3A07.1234567Z";
    assert.deepEqual(
      sent.map(([line]) => line),
      [
        `HEAD /acc/c/k?versionid=${encoded} HTTP/1.1`,
        `GET /acc/c/k?versionid=${encoded} HTTP/1.1`,
        "HEAD /acc/c/k HTTP/1.1",
        "HEAD /acc/c/k HTTP/1.1",
      ],
    );
    const headers = Object.fromEntries((sent[0] ?? []).slice(1).map((line) => line.split(": ", 2)));
    const { authorization, host: _, ...signed } = headers;
    const key = { account: "acc", key: accountKey };
    assert.equal(
      authorization,
      sharedKeyAuthorization(key, "HEAD", "/acc/c/k", signed, { versionid: versionId }),
    );
  });

  test("head: what Azure does not take for a version id is invalid_version_id; list: no versions", async () => {
    const { origin } = await answering(
      response(400, { "x-ms-error-code": "InvalidQueryParameterValue", "Content-Length": 0 }),
    );
    await rejectsWith(
      "invalid_version_id",
      origin.head({ bucket: "c", key: "k", versionId: "yesterday" }, never),
    );
    const list = {
      bucket: "c",
      prefix: "",
      delimiter: "",
      maxKeys: 1,
      continuationToken: "",
      startAfter: "",
    };
    await rejectsWith("not_implemented", origin.list({ ...list, versionIdMarker: "" }, never));
  });

  test("head, read: an answer without a blob type is a block blob", async () => {
    const { "x-ms-blob-type": _, ...untyped } = partial;
    const { origin } = await serve(({ socket, index }) =>
      socket.write(index === 0 ? response(200, untyped) : response(206, untyped, patternBytes(1, 100, 50))),
    );
    assert.equal((await origin.head({ bucket: "c", key: "k" }, never))?.etag, "0x8D");
    const sink = new MemorySink(50);
    await origin.read(range, sink, never);
    assertPattern(sink.received, 1, 100);
  });

  test("head, read: what is no block blob is origin_unsupported", async () => {
    const { origin } = await serve(({ socket, index }) => {
      const headers = { ...partial, "x-ms-blob-type": index === 0 ? "AppendBlob" : "PageBlob" };
      socket.write(index === 0 ? response(200, headers) : response(206, headers, patternBytes(1, 100, 50)));
    });
    await rejectsWith("origin_unsupported", origin.head({ bucket: "c", key: "k" }, never));
    await rejectsWith("origin_unsupported", origin.read(range, new MemorySink(50), never));
  });

  test("head, read: the status decides", async () => {
    const { origin } = await serve(({ socket, index }) =>
      socket.write(
        response([404, 403, 503, 412, 404, 409][index] ?? 200, {
          "Content-Length": 0,
          "x-ms-error-code": index === 0 ? "BlobNotFound" : "Other",
        }),
      ),
    );
    assert.equal(await origin.head({ bucket: "c", key: "k" }, never), null);
    await rejectsWith("origin_denied", origin.head({ bucket: "c", key: "k" }, never));
    await rejectsWith("origin_throttled", origin.read(range, new MemorySink(50), never));
    await rejectsWith("origin_etag_changed", origin.read(range, new MemorySink(50), never));
    await rejectsWith("origin_etag_changed", origin.read(range, new MemorySink(50), never));
    await rejectsWith("origin_unsupported", origin.read(range, new MemorySink(50), never));
  });

  test("head, read: a key that Azure would resolve elsewhere is not asked for", async () => {
    const { origin, server } = await answering(response(500, {}));
    for (const key of ["..", "a/../../other/k", "a/.", "a\\..\\b", ""]) {
      assert.equal(await origin.head({ bucket: "c", key }, never), null);
      await rejectsWith("origin_etag_changed", origin.read({ ...range, key }, new MemorySink(50), never));
    }
    assert.equal(server.requests.length, 0);
    for (const key of ["a", "...", "a..b/.c", "/a//b/", "%2E%2E"]) assert.ok(isBlobName(key), key);
  });

  test("new: a token does not travel unencrypted", () => {
    const { accountKey: _, ...options } = optionsFor("http://127.0.0.1:1/acc");
    assert.throws(
      () => new AzureBlobOrigin(options),
      (thrown) => thrown instanceof OrcaError && thrown.code === "config_invalid",
    );
  });

  /** A container of `names`, in pages of as many as were asked for, that counts the pages. */
  async function listing(
    names: readonly string[],
    pageSizeMax = 5000,
    blobType = "<BlobType>BlockBlob</BlobType>",
  ) {
    const { origin, server } = await serve(({ socket, head }) => {
      const asked = new URL(`http://h${head.split(" ")[1]}`).searchParams;
      const first = Number(asked.get("marker") ?? 0);
      const last = first + Math.min(Number(asked.get("maxresults")), pageSizeMax);
      const blobs = names
        .slice(first, last)
        .map(
          (name) =>
            `<Blob><Name>${name}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:07 GMT</Last-Modified><Etag>0x8D</Etag><Content-Length>7</Content-Length>${blobType}</Properties></Blob>`,
        );
      const marker = last < names.length ? `<NextMarker>${last}</NextMarker>` : "<NextMarker/>";
      const body = Buffer.from(
        `<EnumerationResults ServiceEndpoint="h" ContainerName="c"><Blobs>${blobs.join("")}</Blobs>${marker}</EnumerationResults>`,
      );
      socket.write(response(200, { "Content-Type": "application/xml", "Content-Length": body.length }, body));
    });
    const list = (asked: Partial<ListRequest>): Promise<ListPage> =>
      origin.list(
        {
          bucket: "c",
          prefix: "",
          delimiter: "",
          maxKeys: 2,
          continuationToken: "",
          startAfter: "",
          ...asked,
        },
        never,
      );
    return { list, server };
  }

  test("list: pages follow each other by Azure's marker", async () => {
    const { list, server } = await listing(["a", "b", "c"]);
    const first = await list({});
    assert.deepEqual(first.objects[0], {
      key: "a",
      sizeBytes: 7,
      etag: "0x8D",
      lastModifiedMs: Date.UTC(2026, 0, 1, 0, 0, 7),
    });
    assert.deepEqual(keysOf(first), ["a", "b"]);
    const second = await list({ continuationToken: first.nextContinuationToken });
    assert.deepEqual(keysOf(second), ["c"]);
    assert.equal(second.nextContinuationToken, "");
    assert.match(server.requests[0]?.head ?? "", /x-ms-version: 2024-11-04/);
  });

  test("list: common prefixes, and names that Azure encodes because XML cannot carry them", async () => {
    const body = Buffer.from(
      `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="h" ContainerName="c"><Delimiter>/</Delimiter><Blobs>
       <BlobPrefix><Name>a&amp;b/</Name><Properties><Etag>0x1</Etag></Properties></BlobPrefix>
       <Blob><Name Encoded="true">a%01%25</Name><Properties><Etag>0x8D</Etag><Content-Encoding /></Properties><OrMetadata /></Blob>
       <Blob><Name>a%25</Name><Properties><Etag>0x8D</Etag></Properties></Blob></Blobs><NextMarker /></EnumerationResults>`,
    );
    const { origin, server } = await answering(response(200, { "Content-Length": body.length }, body));
    const request = {
      bucket: "c",
      prefix: "a",
      delimiter: "/",
      maxKeys: 9,
      continuationToken: "",
      startAfter: "",
    };
    const page = await origin.list(request, never);
    assert.deepEqual([keysOf(page), page.commonPrefixes], [["a\u0001%", "a%25"], ["a&b/"]]);
    const target = "/acc/c?restype=container&comp=list&maxresults=9&prefix=a&delimiter=%2F";
    assert.equal(server.requests[0]?.head.split(" ")[1], target);
  });

  test("list: blobs of other types are left out, and those of no type are block blobs", async () => {
    assert.deepEqual(
      keysOf(await (await listing(["a"], 5000, "<BlobType>PageBlob</BlobType>")).list({})),
      [],
    );
    assert.deepEqual(keysOf(await (await listing(["a"], 5000, "")).list({})), ["a"]);
  });

  test("list: a blob in the archive tier has the class of an archived object", async () => {
    for (const [tier, storageClass] of [
      ["Archive", "GLACIER"],
      ["Cold", undefined],
    ] as const) {
      const properties = `<BlobType>BlockBlob</BlobType><AccessTier>${tier}</AccessTier>`;
      const page = await (await listing(["a"], 5000, properties)).list({});
      assert.equal(page.objects[0]?.storageClass, storageClass, tier);
    }
  });

  test("list: startAfter skips, and a page cut inside one of Azure's goes on from there", async () => {
    const names = ["a", "b", "c", "d", "e", "f"];
    const { list, server } = await listing(names);
    const found: string[] = [];
    let page = await list({ startAfter: "b" });
    found.push(...keysOf(page));
    assert.deepEqual(found, ["c", "d"]);
    page = await list({ startAfter: "b", continuationToken: page.nextContinuationToken });
    found.push(...keysOf(page));
    assert.deepEqual(found, ["c", "d", "e", "f"]);
    assert.equal(page.nextContinuationToken, "");
    assert.equal(server.requests.length, 2);
  });

  test("list: the pages skipped in one call are bounded, and an empty page says where to go on", async () => {
    const names = Array.from({ length: 50 }, (_, index) => `k${String(index).padStart(2, "0")}`);
    const { list, server } = await listing(names, 2);
    const page = await list({ startAfter: "k45" });
    assert.deepEqual(keysOf(page), []);
    assert.equal(server.requests.length, 20);
    const next = await list({ startAfter: "k45", continuationToken: page.nextContinuationToken });
    assert.deepEqual(keysOf(next), ["k46", "k47"]);
  });

  test("list: a token that is none of ours is invalid_argument, and the status decides the rest", async () => {
    const { origin, server } = await serve(({ socket, index }) =>
      socket.write(response([404, 403, 503][index] ?? 200, { "Content-Length": 0 })),
    );
    const request = {
      bucket: "c",
      prefix: "",
      delimiter: "",
      maxKeys: 2,
      continuationToken: "",
      startAfter: "",
    };
    await rejectsWith("invalid_argument", origin.list({ ...request, continuationToken: "bm8" }, never));
    await rejectsWith("no_such_bucket", origin.list(request, never));
    await rejectsWith("origin_denied", origin.list({ ...request, delimiter: "/" }, never));
    await rejectsWith("origin_throttled", origin.list(request, never));
    assert.equal(server.requests.length, 3);
  });
});
