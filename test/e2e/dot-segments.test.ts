import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type TestContext, test } from "node:test";
import type { SettingsTree } from "../../src/config/load.ts";
import { startReplica, testBucket } from "../support/replica-fixture.ts";

/** An S3 server that resolves dot segments, as a proxy in front of one may do, and the paths that it was asked for. */
async function foldingServer(context: TestContext): Promise<{ endpoint: string; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    // Each start looks at the bucket with a listing of one key.
    if (!request.url?.includes("&max-keys=1&")) asked.push(request.url ?? "");
    const { pathname } = new URL(request.url ?? "", "http://h");
    const isSecret = pathname === `/${testBucket}/private/secret`;
    const body = isSecret ? "secret" : "public";
    response.writeHead(200, {
      ETag: `"${body}"`,
      "Last-Modified": new Date(0).toUTCString(),
      "Content-Length": body.length,
      "Accept-Ranges": "bytes",
      ...(request.headers.range && { "Content-Range": `bytes 0-${body.length - 1}/${body.length}` }),
    });
    response.end(request.method === "HEAD" ? undefined : body);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

async function start(context: TestContext, origin: SettingsTree) {
  const { endpoint, asked } = await foldingServer(context);
  const awss3 = { bucket: testBucket, endpoint, use_path_style: true };
  const fixture = await startReplica({ settings: { origin: { awss3, ...origin } } });
  context.after(() => fixture.stop());
  /** fetch would resolve the segments itself. */
  const get = async (path: string): Promise<string> => {
    const socket = connect(Number(new URL(fixture.endpoint).port), "127.0.0.1");
    socket.write(`GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    let answer = "";
    for await (const piece of socket) answer += String(piece);
    return answer;
  };
  return { ...fixture, get, asked };
}

const escapes = ["/pub/../private/secret", "/pub/..%2Fprivate/secret", "/pub/%2e%2E/private/secret"];

test("a key with dot segments does not leave a bucket's prefix, and the origin is not asked", async (context) => {
  const { get, asked, opsEndpoint } = await start(context, { buckets: { pub: { prefix: "pub/" } } });
  for (const path of escapes) {
    const answer = await get(path);
    assert.match(
      answer,
      /^HTTP\/1\.1 400 [^]*<Code>InvalidArgument<\/Code>[^]*origin\.allow_dot_segments/,
      path,
    );
  }
  const inspected = await fetch(`${opsEndpoint}/inspect?bucket=pub&key=../private/secret`);
  assert.equal(inspected.status, 400);
  for (const path of ["inspect", "inspect?bucket=pub", "inspect?key=k", "explain"]) {
    const unnamed = await fetch(`${opsEndpoint}/${path}`);
    assert.equal(unnamed.status, 400, path);
    assert.match(await unnamed.text(), /expected \?bucket=BUCKET&key=KEY/, path);
  }
  assert.deepEqual(asked, []);
  assert.match(await get("/pub/k"), /\r\n\r\npublic$/);
});

test("a key with dot segments is not sent to an origin that is not AWS, and origin.allow_dot_segments sends it", async (context) => {
  const path = `/${testBucket}/a/../private/secret`;
  const strict = await start(context, {});
  assert.match(await strict.get(path), /^HTTP\/1\.1 400 /);
  assert.deepEqual(strict.asked, []);
  const lenient = await start(context, { allow_dot_segments: true });
  assert.match(await lenient.get(path), /^HTTP\/1\.1 200 /);
  assert.equal(lenient.asked[0], path);
});

test("a key that its bucket's prefix makes too long is 400, and the origin is not asked", async (context) => {
  const { get, asked } = await start(context, { buckets: { pub: { prefix: "pub/" } } });
  assert.match(await get(`/pub/${"k".repeat(1021)}`), /^HTTP\/1\.1 400 [^]*<Code>KeyTooLongError<\/Code>/);
  assert.match(await get(`/pub?list-type=2&prefix=${"k".repeat(1021)}`), /<Code>KeyTooLongError<\/Code>/);
  assert.deepEqual(asked, []);
});
