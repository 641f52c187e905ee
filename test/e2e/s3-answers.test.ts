/** What a request that AWS answers in a certain way is answered here. The values are AWS's own, as LocalStack recorded them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";

let orca: ReplicaFixture;

before(async () => {
  orca = await startReplica();
  orca.origin.put(testBucket, "k", { seed: 4, sizeBytes: 10, headers: { "content-type": "text/plain" } });
});
after(() => orca.stop());

/** A request of `path`, from the root of the endpoint on. */
function send(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
  return fetch(`${orca.endpoint}/${path}`, { method, headers });
}

const signed = {
  authorization:
    "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00",
};

test("response-*: only a request with a signature may choose headers, and its answer is not sniffed", async () => {
  const path = `${testBucket}/k?response-content-type=text%2Fhtml`;
  for (const method of ["GET", "HEAD"]) {
    const denied = await send(path, {}, method);
    assert.equal(denied.status, 400);
    if (method === "GET") assert.match(await denied.text(), /<Code>InvalidRequest<\/Code>/);
  }
  const presigned = `${path}&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00`;
  for (const response of [await send(path, signed), await send(presigned)]) {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "text/html");
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    await response.arrayBuffer();
  }
  assert.equal((await send(`${testBucket}/k?response-content-type=`)).status, 200);
});

/** The texts of all elements of a name. */
function texts(xml: string, name: string): string[] {
  return [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map(([, text = ""]) => text);
}

test("ListObjectsV2: StartAfter is not repeated with a token, and an empty token is 400", async () => {
  for (const key of ["list/a", "list/b", "list/c", "list/d"])
    orca.origin.put(testBucket, key, { seed: 1, sizeBytes: 1 });
  const query = "list-type=2&prefix=list/&start-after=list/a&max-keys=1";
  const first = await (await send(`${testBucket}?${query}`)).text();
  assert.deepEqual(texts(first, "StartAfter"), ["list/a"]);
  const [token = ""] = texts(first, "NextContinuationToken");
  const second = await (await send(`${testBucket}?${query}&continuation-token=${token}`)).text();
  assert.deepEqual(texts(second, "Key"), ["list/c"]);
  assert.deepEqual(texts(second, "StartAfter"), []);
  const empty = await send(`${testBucket}?list-type=2&continuation-token=`);
  assert.equal(empty.status, 400);
  const [message] = texts(await empty.text(), "Message");
  assert.equal(message, "The continuation token provided is incorrect");
});

test("ListObjects: the storage class is the origin's, in listings and with the object", async () => {
  const headers = { "x-amz-storage-class": "GLACIER_IR" };
  orca.origin.put(testBucket, "class/a", { seed: 1, sizeBytes: 1, headers });
  orca.origin.put(testBucket, "class/b", { seed: 1, sizeBytes: 1 });
  const xml = await (await send(`${testBucket}?list-type=2&prefix=class/`)).text();
  assert.deepEqual(texts(xml, "StorageClass"), ["GLACIER_IR", "STANDARD"]);
  const head = await send(`${testBucket}/class/a`, {}, "HEAD");
  assert.equal(head.headers.get("x-amz-storage-class"), "GLACIER_IR");
});

test("ListObjects: keys with control characters decode to what was put under encoding-type=url", async () => {
  const keys = ["ctl/\n\u0001b", "ctl/a+b c%", "ctl/\r\t\u007f"];
  for (const key of keys) orca.origin.put(testBucket, key, { seed: 1, sizeBytes: 1 });
  for (const type of ["list-type=2&", ""]) {
    const xml = await (await send(`${testBucket}?${type}encoding-type=url&prefix=ctl/`)).text();
    assert.deepEqual(texts(xml, "Key").map(decodeURIComponent).toSorted(), keys.toSorted());
  }
  const newline = await (await send(`${testBucket}?list-type=2&encoding-type=url&prefix=ctl/%0A`)).text();
  assert.deepEqual(texts(newline, "Prefix"), ["ctl/%0A"]);
  assert.deepEqual(texts(newline, "Key"), ["ctl/%0A%01b"]);
});
