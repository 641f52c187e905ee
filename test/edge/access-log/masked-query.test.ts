import assert from "node:assert/strict";
import { test } from "node:test";
import { maskedQuery } from "../../../src/edge/access-log/masked-query.ts";

const masked: readonly (readonly [target: string, shown: string])[] = [
  ["/b/k", ""],
  ["/b/k?", ""],
  ["/b?list-type=2&prefix=a%2Fb&max-keys=10", "list-type=2&prefix=a%2Fb&max-keys=10"],
  ["/b/k?partNumber=2&versionId=abc", "partNumber=2&versionId=abc"],
  ["/b/k?acl", "acl"],
  [
    "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260101&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token=FwoG&X-Amz-Signature=deadbeef",
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&x-amz-credential=[hidden]&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&x-amz-security-token=[hidden]&x-amz-signature=[hidden]",
  ],
  [
    "/b/k?AWSAccessKeyId=AKIA&Expires=1&Signature=dead",
    "awsaccesskeyid=[hidden]&expires=[hidden]&signature=[hidden]",
  ],
  // However the name is written.
  ["/b/k?X%2DAmz%2DSignature=deadbeef", "x-amz-signature=[hidden]"],
  ["/b/k?x-amz-SIGNATURE=deadbeef", "x-amz-signature=[hidden]"],
  // A name that S3 does not know, or no name at all, may be a secret itself.
  ["/b/k?access_token=eyJhbGciOi", "[hidden]"],
  ["/b/k?eyJhbGciOi.eyJzdWIiOi", "[hidden]"],
  ["/b/k?opensesame", "[hidden]"],
  ["/b/k?prefix=a&token=t&acl", "prefix=a&[hidden]&acl"],
  ["/b?location&metadataTable&uploads", "location&metadataTable&uploads"],
  ["/b/k?%zz=1", "[hidden]"],
  ["/b/k?prefix=a?X-Amz-Signature=dead", "prefix=a?X-Amz-Signature=dead"],
];

for (const [target, shown] of masked) {
  test(`maskedQuery: ${target}`, () => assert.equal(maskedQuery(target), shown));
}

test("maskedQuery: a long query is cut, also where its signature stands at the cut", () => {
  const shown = maskedQuery(`/b?prefix=${"a".repeat(5000)}&X-Amz-Signature=dead`);
  assert.equal(shown.length, 513);
  for (let length = 480; length < 530; length += 1) {
    const query = maskedQuery(`/b/k?prefix=${"a".repeat(length)}&X-Amz-Signature=${"dead".repeat(300)}`);
    assert.ok(query.length <= 513 && !query.includes("dead"), query);
  }
});
