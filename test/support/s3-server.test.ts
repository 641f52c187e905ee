import assert from "node:assert/strict";
import { after, beforeEach, suite, test } from "node:test";
import { GiB, MiB } from "../../src/base/units.ts";
import { assertPattern, PatternChecker } from "./pattern.ts";
import { S3Server } from "./s3-server.ts";

const server = await S3Server.start({ buckets: ["b", "empty"] });
const ask = (path: string, init: RequestInit = {}): Promise<Response> => fetch(server.endpoint + path, init);
const head = (path: string): Promise<Response> => ask(path, { method: "HEAD" });
const bodyOf = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());

after(() => server.stop());
beforeEach(() => {
  server.faults.clear();
  server.forgetRequests();
});

suite("S3Server: objects", () => {
  test("GET: a synthetic object of any size, without memory for it", async () => {
    const { etag } = server.put("b", "huge", { seed: 5, sizeBytes: 1024 * GiB });
    const response = await ask("/b/huge", {
      headers: { range: `bytes=${512 * GiB + 3}-${512 * GiB + 1002}` },
    });
    assert.equal(response.status, 206);
    assert.equal(
      response.headers.get("content-range"),
      `bytes ${512 * GiB + 3}-${512 * GiB + 1002}/${1024 * GiB}`,
    );
    assert.equal(response.headers.get("etag"), `"${etag}"`);
    assertPattern(await bodyOf(response), 5, 512 * GiB + 3);
  });

  test("GET: a long body comes whole", async () => {
    server.put("b", "long", { seed: 6, sizeBytes: 20 * MiB + 1 });
    const response = await ask("/b/long");
    const checker = new PatternChecker(6);
    for await (const piece of response.body ?? []) checker.update(piece);
    assert.equal(checker.offset, 20 * MiB + 1);
    assert.equal(server.bytesSent("long"), 20 * MiB + 1);
  });

  test("GET: ranges as RFC 9110 has them", async () => {
    server.put("b", "ten", { body: "0123456789" });
    const cases: [range: string, status: number, body: string][] = [
      ["bytes=0-0", 206, "0"],
      ["bytes=8-99", 206, "89"],
      ["bytes=7-", 206, "789"],
      ["bytes=-3", 206, "789"],
      ["bytes=-99", 206, "0123456789"],
      ["bytes=5-2", 200, "0123456789"],
      ["bytes=-", 200, "0123456789"],
      ["bytes=0-1,3-4", 200, "0123456789"],
    ];
    for (const [range, status, body] of cases) {
      const response = await ask("/b/ten", { headers: { range } });
      assert.deepEqual([response.status, await response.text()], [status, body], range);
    }
    for (const range of ["bytes=10-", "bytes=-0"]) {
      const response = await ask("/b/ten", { headers: { range } });
      assert.equal(response.status, 416);
      assert.equal(response.headers.get("content-range"), "bytes */10");
      assert.match(await response.text(), /<Code>InvalidRange<\/Code>/);
    }
  });

  test("GET: conditions; an unquoted If-Match matches nothing", async () => {
    const lastModifiedMs = Date.UTC(2026, 0, 1, 12, 0, 0, 700);
    server.put("b", "pinned", { body: "x", etag: "v1", lastModifiedMs });
    const cases: [name: string, value: string, status: number][] = [
      ["if-match", '"v1"', 200],
      ["if-match", "*", 200],
      ["if-match", "v1", 412],
      ["if-match", '"v2"', 412],
      ["if-none-match", '"v1"', 304],
      ["if-none-match", 'W/"v1"', 304],
      ["if-none-match", '"v2"', 200],
      ["if-modified-since", "Thu, 01 Jan 2026 12:00:00 GMT", 304],
      ["if-modified-since", "Thu, 01 Jan 2026 11:59:59 GMT", 200],
      ["if-unmodified-since", "Thu, 01 Jan 2026 12:00:00 GMT", 200],
      ["if-unmodified-since", "Thu, 01 Jan 2026 11:59:59 GMT", 412],
    ];
    for (const [name, value, status] of cases) {
      const response = await ask("/b/pinned", { headers: { [name]: value } });
      await response.arrayBuffer();
      assert.equal(response.status, status, `${name}: ${value}`);
    }
  });

  test("PUT, HEAD, DELETE: an object with all its headers", async () => {
    const headers = {
      "content-type": "text/css",
      expires: "never",
      "x-amz-meta-colour": "blue",
      "x-other": "no",
    };
    assert.equal((await ask("/b/a%20b%2Fc%2B", { method: "PUT", body: "12345", headers })).status, 200);
    const found = await head("/b/a%20b/c+");
    assert.equal(found.status, 200);
    assert.equal(found.headers.get("content-length"), "5");
    assert.equal(found.headers.get("etag"), '"827ccb0eea8a706c4c34a16891f84e7b"');
    assert.equal(found.headers.get("content-type"), "text/css");
    assert.equal(found.headers.get("expires"), "never");
    assert.equal(found.headers.get("x-amz-meta-colour"), "blue");
    assert.equal(found.headers.get("x-other"), null);
    assert.equal((await ask("/b/a%20b/c+", { method: "DELETE" })).status, 204);
    assert.equal((await head("/b/a%20b/c+")).status, 404);
  });

  test("errors: XML with a code, and none after HEAD", async () => {
    const missing = await ask("/b/none");
    assert.equal(missing.status, 404);
    assert.match(await missing.text(), /<Code>NoSuchKey<\/Code>.*<Resource>\/b\/none<\/Resource><RequestId>/);
    assert.match(await (await ask("/none/none")).text(), /<Code>NoSuchBucket<\/Code>/);
    assert.equal((await head("/none")).status, 404);
    assert.equal((await head("/b")).status, 200);
  });

  test("credentials: a request that is not signed is denied", async () => {
    const credentials = { accessKey: "someone", secretKey: "secret" };
    const guarded = await S3Server.start({ buckets: ["b"], credentials });
    const response = await fetch(`${guarded.endpoint}/b`, { method: "HEAD" });
    assert.equal(response.status, 403);
    await guarded.stop();
  });

  test("put: an overwrite does not change a body that is being sent", async () => {
    server.put("b", "changing", { seed: 1, sizeBytes: MiB });
    const gate = server.hold("GET", "changing", 1000);
    const response = await ask("/b/changing");
    await gate.reached;
    server.put("b", "changing", { seed: 2, sizeBytes: MiB });
    gate.release();
    assertPattern(await bodyOf(response), 1, 0);
    assertPattern(await bodyOf(await ask("/b/changing")), 2, 0);
  });
});

suite("S3Server: listings", () => {
  test("LIST: XML that holds what XML cannot, when it is asked to encode", async () => {
    server.put("empty", "a b+\n&<", { body: "x", etag: "e" });
    const encoded = await (await ask("/empty?list-type=2&encoding-type=url")).text();
    assert.match(encoded, /<Key>a\+b%2B%0A%26%3C<\/Key>/);
    const plain = await (await ask("/empty/?list-type=2")).text();
    assert.match(plain, /<Key>a b\+\n&#38;&#60;<\/Key>.*<ETag>&#34;e&#34;<\/ETag><Size>1<\/Size>/s);
    server.delete("empty", "a b+\n&<");
  });

  test("LIST: a page of max-keys=0 is empty and the last", async () => {
    server.put("b", "k", { body: "" });
    const xml = await (await ask("/b?list-type=2&max-keys=0")).text();
    assert.match(xml, /<KeyCount>0<\/KeyCount>.*<IsTruncated>false<\/IsTruncated>/);
  });

  test("LIST: version 1 and max-keys that are no number are errors", async () => {
    assert.equal((await ask("/b")).status, 501);
    assert.equal((await ask("/b?list-type=2&max-keys=-1")).status, 400);
  });
});

suite("S3Server: counts", () => {
  test("requests: what was asked, what was sent, how many at once", async () => {
    server.put("b", "counted", { seed: 1, sizeBytes: 1000 });
    const gate = server.hold("GET", "counted");
    const held = ask("/b/counted", { headers: { range: "bytes=0-99", "if-match": "*" } });
    await gate.reached;
    await bodyOf(await ask("/b/counted"));
    await head("/b/counted");
    await ask("/b?list-type=2&prefix=c");
    assert.equal(server.inFlight, 1);
    gate.release();
    await bodyOf(await held);

    assert.equal(server.count("GET"), 2);
    assert.equal(server.count("GET", "counted"), 2);
    assert.equal(server.count("GET", "other"), 0);
    assert.equal(server.count("HEAD", "counted"), 1);
    assert.equal(server.count("LIST", "c"), 1);
    assert.equal(server.bytesSent(), 1100);
    assert.equal(server.inFlightMax, 2);
    const [first] = server.requests;
    assert.equal(first?.range, "bytes=0-99");
    assert.equal(first?.ifMatch, "*");
    assert.equal(first?.status, 206);
    assert.equal(first?.bytesSent, 100);
  });

  test("stop, listen: the server goes away and comes back on its port", async () => {
    const { endpoint } = server;
    await server.stop();
    await assert.rejects(head("/b"));
    await server.listen();
    assert.equal(server.endpoint, endpoint);
    assert.equal((await head("/b")).status, 200);
  });
});
