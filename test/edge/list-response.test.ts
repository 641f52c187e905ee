import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OrcaError } from "../../src/base/orca-error.ts";
import { percentDecode } from "../../src/base/percent-encoding.ts";
import { type ListObjectsRequest, parseListRequest } from "../../src/edge/list-request.ts";
import {
  bucketLocationXml,
  emptyListPage,
  listBucketsXml,
  listObjectsXml,
} from "../../src/edge/list-response.ts";
import type { ListPage } from "../../src/origin/origin.ts";
import { anyKey } from "../support/any-text.ts";
import { textsOf } from "./xml-text.ts";

function request(
  kind: ListObjectsRequest["kind"],
  parameters: Readonly<Record<string, string>> = {},
): ListObjectsRequest {
  const parsed = parseListRequest(kind, "bucket", new Map(Object.entries(parameters)));
  assert.ok(!(parsed instanceof OrcaError), JSON.stringify(parameters));
  return parsed;
}

function page(keys: readonly string[], commonPrefixes: readonly string[] = [], token = ""): ListPage {
  const objects = keys.map((key, index) => {
    return { key, sizeBytes: index, etag: `e${index}`, lastModifiedMs: Date.UTC(2025, 5, 1) };
  });
  return { objects, commonPrefixes, nextContinuationToken: token };
}

function nextMarker(parameters: Readonly<Record<string, string>>, of: ListPage): string[] {
  return textsOf(listObjectsXml(request("list-objects-v1", parameters), of), "NextMarker");
}

test("listObjectsXml: an object without a date has no LastModified", () => {
  const dated = page(["k"]);
  const undated = {
    ...dated,
    objects: dated.objects.map((each) => ({ ...each, lastModifiedMs: undefined })),
  };
  assert.deepEqual(textsOf(listObjectsXml(request("list-objects-v2"), undated), "LastModified"), []);
});

test("listObjectsXml: a V2 page as S3 renders it", () => {
  const xml = listObjectsXml(
    request("list-objects-v2", { prefix: "p", delimiter: "/", "max-keys": "7", "start-after": "o" }),
    page(["p&q"], ["p/"]),
  );
  assert.equal(
    xml,
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
      "<Name>bucket</Name><Prefix>p</Prefix><StartAfter>o</StartAfter><KeyCount>2</KeyCount><MaxKeys>7</MaxKeys>" +
      "<Delimiter>/</Delimiter><IsTruncated>false</IsTruncated>" +
      "<Contents><Key>p&amp;q</Key><LastModified>2025-06-01T00:00:00.000Z</LastModified>" +
      "<ETag>&quot;e0&quot;</ETag><Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>" +
      "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>",
  );
});

test("listObjectsXml: the next V2 page is asked for with the token of this one", () => {
  const first = listObjectsXml(request("list-objects-v2", { prefix: "p" }), page(["p1"], [], "origin-token"));
  assert.deepEqual(textsOf(first, "IsTruncated"), ["true"]);
  const [token] = textsOf(first, "NextContinuationToken");
  const second = request("list-objects-v2", { prefix: "p", "continuation-token": token ?? "" });
  assert.equal(second.originToken, "origin-token");
  const last = listObjectsXml(second, page(["p2"]));
  assert.deepEqual(textsOf(last, "ContinuationToken"), [token]);
  assert.deepEqual(textsOf(last, "NextContinuationToken"), []);
  assert.deepEqual(textsOf(last, "IsTruncated"), ["false"]);
});

test("listObjectsXml: a V1 page has markers in the place of tokens", () => {
  const xml = listObjectsXml(
    request("list-objects-v1", { marker: "a", delimiter: "/" }),
    page(["b"], ["c/"], "t"),
  );
  assert.deepEqual(textsOf(xml, "Marker"), ["a"]);
  assert.deepEqual(textsOf(xml, "NextMarker"), ["c/"]);
  assert.deepEqual(textsOf(xml, "KeyCount"), []);
  assert.deepEqual(textsOf(xml, "NextContinuationToken"), []);
});

test("listObjectsXml: NextMarker is the last of keys and prefixes in byte order, and only with a delimiter", () => {
  assert.deepEqual(nextMarker({ delimiter: "/" }, page(["a", "d"], ["c/"], "t")), ["d"]);
  assert.deepEqual(nextMarker({ delimiter: "/" }, page(["\uFF5E"], ["🐋/"], "t")), ["🐋/"]);
  assert.deepEqual(nextMarker({ delimiter: "/" }, page(["a"], ["c/"])), []);
  assert.deepEqual(nextMarker({}, page(["a"], [], "t")), []);
});

test("listObjectsXml: encoding-type=url encodes every key and says so", () => {
  const xml = listObjectsXml(
    request("list-objects-v2", { "encoding-type": "url", prefix: "a b", delimiter: "&", "start-after": "é" }),
    page(["a b/\u0001"], ["a b&"]),
  );
  assert.deepEqual(textsOf(xml, "EncodingType"), ["url"]);
  assert.deepEqual(textsOf(xml, "Key"), ["a%20b/%01"]);
  assert.deepEqual(textsOf(xml, "Prefix"), ["a%20b", "a%20b%26"]);
  assert.deepEqual(textsOf(xml, "Delimiter"), ["%26"]);
  assert.deepEqual(textsOf(xml, "StartAfter"), ["%C3%A9"]);
});

test("listObjectsXml: a key that XML cannot carry is a reference, as in S3", () => {
  const xml = listObjectsXml(request("list-objects-v2"), page(["a\u0004b"]));
  assert.ok(xml.includes("<Key>a&#x4;b</Key>"));
});

test("listObjectsXml: every key can be read back, encoded or not", () => {
  const keys = fc.array(anyKey({ minLength: 1 }));
  fc.assert(
    fc.property(keys, (of) => {
      const plain = listObjectsXml(request("list-objects-v2"), page(of));
      assert.deepEqual(textsOf(plain, "Key"), of);
      const encoded = listObjectsXml(request("list-objects-v1", { "encoding-type": "url" }), page(of));
      assert.deepEqual(textsOf(encoded, "Key").map(percentDecode), of);
    }),
  );
});

test("listObjectsXml: a time that cannot be said is left out", () => {
  const objects = [{ key: "k", sizeBytes: 1, etag: "e", lastModifiedMs: Number.NaN }];
  const xml = listObjectsXml(request("list-objects-v2"), { ...emptyListPage, objects });
  assert.deepEqual(textsOf(xml, "LastModified"), []);
});

test("emptyListPage: max-keys=0 is answered with nothing and no more to come", () => {
  const xml = listObjectsXml(request("list-objects-v2", { "max-keys": "0" }), emptyListPage);
  assert.deepEqual(textsOf(xml, "MaxKeys"), ["0"]);
  assert.deepEqual(textsOf(xml, "KeyCount"), ["0"]);
  assert.deepEqual(textsOf(xml, "IsTruncated"), ["false"]);
});

test("listBucketsXml: every bucket has a name and a date", () => {
  const xml = listBucketsXml([
    { name: "bucket-a", createdMs: undefined },
    { name: "bucket-b", createdMs: Date.UTC(2026, 1, 3) },
  ]);
  assert.deepEqual(textsOf(xml, "Name"), ["bucket-a", "bucket-b"]);
  assert.equal(textsOf(xml, "CreationDate").length, 2);
});

test("bucketLocationXml: empty for us-east-1, else the region", () => {
  assert.deepEqual(textsOf(bucketLocationXml("eu-west-1"), "LocationConstraint"), ["eu-west-1"]);
  assert.deepEqual(textsOf(bucketLocationXml("us-east-1"), "LocationConstraint"), [""]);
});

test("listObjectsXml: an owner where V1 or fetch-owner asks, and the storage class that the origin says", () => {
  const listed = page(["a", "b"]);
  const cold = { ...listed, objects: listed.objects.map((each) => ({ ...each, storageClass: "GLACIER" })) };
  const owners = (kind: ListObjectsRequest["kind"], parameters = {}): string[] =>
    textsOf(listObjectsXml(request(kind, parameters), listed), "DisplayName");
  assert.deepEqual(owners("list-objects-v1"), ["orca", "orca"]);
  assert.deepEqual(owners("list-objects-v2"), []);
  assert.deepEqual(owners("list-objects-v2", { "fetch-owner": "false" }), []);
  assert.deepEqual(owners("list-objects-v2", { "fetch-owner": "true" }), ["orca", "orca"]);
  const xml = listObjectsXml(request("list-objects-v2"), cold);
  assert.deepEqual(textsOf(xml, "StorageClass"), ["GLACIER", "GLACIER"]);
});
