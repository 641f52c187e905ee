import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  HeadObjectRequestSchema,
  HeadObjectResponseSchema,
  ListObjectsRequestSchema,
  ListObjectsResponseSchema,
} from "../../../gen/orca/v1/object_pb.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import {
  decodeHeadAnswer,
  decodeHeadRequest,
  decodeListAnswer,
  decodeListRequest,
  encodeHeadAnswer,
  encodeHeadRequest,
  encodeListAnswer,
  encodeListRequest,
  pageBytes,
} from "../../../src/mesh/codec/object-codec.ts";
import { Absence } from "../../../src/object/versions/absence.ts";
import type { ObjectHead, ObjectLocation } from "../../../src/origin/origin.ts";
import { anyKey, anyText } from "../../support/any-text.ts";
import { throwsWith } from "../../support/throws-with.ts";

const anyName = anyKey({ minLength: 1, maxLength: 16 });
const anyEtag = fc.stringMatching(/^[\w-]{1,64}$/);
const anyTimeMs = fc
  .date({
    min: new Date("0001-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  })
  .map(Number);
const optionalText = fc.option(anyText({ maxLength: 16 }), { nil: undefined });
const plain = { noNullPrototype: true } as const;
const anyVersionId = fc.stringMatching(/^[\x21-\x7e]{1,64}$/);
const anyVersion = fc.option(
  anyVersionId.map((versionId) => ({ versionId })),
  { nil: {} },
);
const objectsOnly = {
  bucket: "b",
  prefix: "",
  delimiter: "",
  maxKeys: 1,
  continuationToken: "",
  startAfter: "",
};

/** Those that are there in each message, if only as undefined. */
const headKeys = [
  "sizeBytes",
  "etag",
  "lastModifiedMs",
  "contentType",
  "contentEncoding",
  "contentLanguage",
  "contentDisposition",
  "cacheControl",
  "expires",
  "versionId",
  "storageClass",
  "websiteRedirectLocation",
  "metadata",
] as const;

const anyHead: fc.Arbitrary<ObjectHead> = fc.record(
  {
    sizeBytes: fc.maxSafeNat(),
    etag: anyEtag,
    lastModifiedMs: fc.option(anyTimeMs, { nil: undefined }),
    contentType: optionalText,
    contentEncoding: optionalText,
    contentLanguage: optionalText,
    contentDisposition: optionalText,
    cacheControl: optionalText,
    expires: optionalText,
    versionId: optionalText,
    storageClass: optionalText,
    restore: anyText(),
    archiveStatus: anyText(),
    websiteRedirectLocation: optionalText,
    metadata: fc.dictionary(fc.stringMatching(/^[a-z-]{1,16}$/), anyText(), { maxKeys: 4, ...plain }),
  },
  { ...plain, requiredKeys: [...headKeys] },
);

const anyPage = fc.record(
  {
    objects: fc.array(
      fc.record(
        {
          key: anyName,
          sizeBytes: fc.maxSafeNat(),
          etag: fc.oneof(anyEtag, fc.constant("")),
          lastModifiedMs: fc.option(anyTimeMs, { nil: undefined }),
        },
        plain,
      ),
      { maxLength: 5 },
    ),
    commonPrefixes: fc.array(anyName, { maxLength: 5 }),
    nextContinuationToken: anyText({ maxLength: 16 }),
  },
  plain,
);

/** Encoded to bytes, and decoded again. */
function sent<Schema extends DescMessage>(schema: Schema, message: MessageInitShape<Schema>) {
  return fromBinary(schema, toBinary(schema, create(schema, message)));
}

/** The error that the caller receives in place of metadata. */
function travelled(head: OrcaError, location: ObjectLocation = { bucket: "b", key: "k" }): unknown {
  const message = sent(HeadObjectResponseSchema, encodeHeadAnswer({ head, remainingMs: 7 }, location));
  return decodeHeadAnswer(message, location).head;
}

test("decodeHeadRequest, decodeHeadAnswer: decode any request and any answer", () => {
  fc.assert(
    fc.property(
      anyName,
      anyName,
      anyVersion,
      anyHead,
      fc.maxSafeNat(),
      (bucket, key, version, head, remainingMs) => {
        const location = { bucket, key, ...version };
        const request = {
          originId: "o",
          location,
          staleEtag: head.etag,
          contradictedEtag: head.etag,
        };
        const asked = sent(HeadObjectRequestSchema, encodeHeadRequest(request));
        assert.deepEqual(decodeHeadRequest(asked), request);
        const answer = sent(HeadObjectResponseSchema, encodeHeadAnswer({ head, remainingMs }, location));
        assert.deepEqual(decodeHeadAnswer(answer, location), { head, remainingMs });
      },
    ),
  );
});

test("decodeHeadRequest: a contradicted absence differs from no contradiction", () => {
  for (const contradictedEtag of ["", undefined]) {
    const request = { originId: "o", location: { bucket: "b", key: "k" }, staleEtag: "", contradictedEtag };
    const asked = sent(HeadObjectRequestSchema, encodeHeadRequest(request));
    assert.deepEqual(decodeHeadRequest(asked), request);
  }
});

test("decodeHeadRequest: says whether the caller's metadata ends soon", () => {
  const location = { bucket: "b", key: "k" };
  const request = { originId: "o", location, staleEtag: "", contradictedEtag: undefined, isAhead: true };
  const asked = sent(HeadObjectRequestSchema, encodeHeadRequest(request));
  assert.deepEqual(decodeHeadRequest(asked), request);
});

test("decodeHeadAnswer: a checksum has the name of a checksum, because clients receive it as a header", () => {
  const head = { sizeBytes: 1, etag: "e", lastModifiedMs: undefined, metadata: {} };
  const location = { bucket: "b", key: "k" };
  const decoded = (checksums: Readonly<Record<string, string>>) => {
    const answer = encodeHeadAnswer({ head: { ...head, checksums }, remainingMs: 1 }, location);
    return decodeHeadAnswer(sent(HeadObjectResponseSchema, answer), location).head;
  };
  const checksums = { "x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT" };
  assert.deepEqual((decoded(checksums) as ObjectHead).checksums, checksums);
  for (const name of ["content-length", "set-cookie", "x-amz-checksum-", ""])
    throwsWith("invalid_argument", () => decoded({ [name]: "1" }));
});

test("decodeHeadAnswer: says how old an expired answer is", () => {
  const location = { bucket: "b", key: "k" };
  const head: ObjectHead = { etag: "v1", sizeBytes: 10, lastModifiedMs: 0, metadata: {} };
  for (const stale of [{}, { staleAgeMs: 0 }, { staleAgeMs: 300_001 }]) {
    const answer = encodeHeadAnswer({ head, remainingMs: 0, ...stale }, location);
    const { staleAgeMs, remainingMs } = decodeHeadAnswer(sent(HeadObjectResponseSchema, answer), location);
    assert.deepEqual({ staleAgeMs, remainingMs }, { staleAgeMs: undefined, remainingMs: 0, ...stale });
  }
});

test("decodeHeadAnswer: absence and a lasting error are answers", () => {
  const absence = travelled(new OrcaError("no_such_key", "object", "x"));
  assert.ok(absence instanceof OrcaError);
  assert.deepEqual(
    [absence.code, absence.message],
    ["no_such_key", 'Cannot find "k": the origin has no such key'],
  );
  for (const code of ["origin_missing_etag", "origin_unsupported"] as const) {
    const error = travelled(new OrcaError(code, "origin", "no"));
    assert.ok(error instanceof OrcaError);
    assert.deepEqual([error.code, error.source, error.message], [code, "origin", "no"]);
  }
});

test("decodeListRequest, decodeListAnswer: decode any request and any page, and pageBytes is an upper bound", () => {
  fc.assert(
    fc.property(anyPage, anyName, fc.integer({ min: 1, max: 1000 }), (page, text, maxKeys) => {
      const request = {
        bucket: text,
        prefix: text,
        delimiter: "/",
        maxKeys,
        continuationToken: text,
        startAfter: "",
      };
      const asked = sent(ListObjectsRequestSchema, encodeListRequest({ originId: "o", request }));
      assert.deepEqual(decodeListRequest(asked), { originId: "o", request });
      const message = create(
        ListObjectsResponseSchema,
        encodeListAnswer({ page, remainingMs: 2 ** 53 - 1 }, request),
      );
      assert.deepEqual(decodeListAnswer(sent(ListObjectsResponseSchema, message), request), {
        page,
        remainingMs: 2 ** 53 - 1,
      });
      assert.ok(toBinary(ListObjectsResponseSchema, message).length <= pageBytes(page));
    }),
  );
});

test("decodeHeadAnswer: absences keep the version and the delete marker", () => {
  const current = { bucket: "b", key: "k" };
  const version = { ...current, versionId: "v1" };
  const marker = { kind: "delete-marker", versionId: "v1", lastModifiedMs: 1_000_000 } as const;
  const unknown = { kind: "delete-marker", versionId: undefined, lastModifiedMs: undefined } as const;
  for (const [location, told, code] of [
    [current, undefined, "no_such_key"],
    [current, marker, "no_such_key"],
    [current, unknown, "no_such_key"],
    [version, undefined, "no_such_version"],
    [version, marker, "delete_marker"],
  ] as const) {
    const absence = travelled(Absence.of(location, told), location);
    assert.ok(absence instanceof Absence);
    assert.deepEqual([absence.code, absence.marker], [code, told]);
  }
  const error = travelled(new OrcaError("invalid_version_id", "origin", "no"), version);
  assert.ok(error instanceof OrcaError && error.code === "invalid_version_id");
});

test("decodeHeadAnswer, decodeListAnswer: an answer about the current object is none about a version", () => {
  const head = { sizeBytes: 1, etag: "e", lastModifiedMs: 0, metadata: {} };
  const current = { bucket: "b", key: "k" };
  const version = { ...current, versionId: "v1" };
  const old = sent(HeadObjectResponseSchema, encodeHeadAnswer({ head, remainingMs: 1 }, current));
  throwsWith("invalid_argument", () => decodeHeadAnswer(old, version));
  const page = { objects: [], commonPrefixes: [], nextContinuationToken: "" };
  const list = sent(ListObjectsResponseSchema, encodeListAnswer({ page, remainingMs: 1 }, objectsOnly));
  throwsWith("invalid_argument", () => decodeListAnswer(list, { ...objectsOnly, versionIdMarker: "" }));
});

test("decodeListRequest, decodeListAnswer: a page of versions keeps ids, markers and its end", () => {
  const version = { id: "v1", isLatest: true, isDeleteMarker: false };
  const object = { key: "k", sizeBytes: 1, etag: "e", lastModifiedMs: 1000, version };
  const marker = { ...object, sizeBytes: 0, etag: "", version: { ...version, isDeleteMarker: true } };
  for (const versionIdMarker of ["", "v0"]) {
    const request = { ...objectsOnly, startAfter: "a", versionIdMarker };
    const asked = sent(ListObjectsRequestSchema, encodeListRequest({ originId: "o", request }));
    assert.deepEqual(decodeListRequest(asked), { originId: "o", request });
    const page = {
      objects: [object, marker],
      commonPrefixes: [],
      nextContinuationToken: "",
      nextVersion: { startAfter: "k", versionIdMarker },
    };
    const message = create(ListObjectsResponseSchema, encodeListAnswer({ page, remainingMs: 1 }, request));
    const got = decodeListAnswer(sent(ListObjectsResponseSchema, message), request);
    assert.deepEqual(got, { page, remainingMs: 1 });
    assert.ok(toBinary(ListObjectsResponseSchema, message).length <= pageBytes(page));
  }
  throwsWith("invalid_argument", () =>
    decodeListRequest(
      sent(ListObjectsRequestSchema, { originId: "o", bucket: "b", maxKeys: 1, versionIdMarker: "a b" }),
    ),
  );
});

test("encodeHeadAnswer: a time to live is rounded down, and is never below 0", () => {
  const head = new OrcaError("no_such_key", "object", "x");
  for (const [remainingMs, expected] of [
    [12.9, 12n],
    [-1, 0n],
    [Infinity, 2n ** 53n - 1n],
  ] as const) {
    assert.equal(encodeHeadAnswer({ head, remainingMs }, { bucket: "b", key: "k" }).ttlRemainingMs, expected);
  }
});

test("decodeHeadRequest, decodeListRequest: an invalid request is invalid_argument", () => {
  const object = { originId: "o", bucket: "b", objectKey: "k" };
  const heads: readonly MessageInitShape<typeof HeadObjectRequestSchema>[] = [
    {},
    { object: { ...object, originId: "" } },
    { object: { ...object, originId: "o".repeat(65) } },
    { object: { ...object, bucket: "" } },
    { object: { ...object, bucket: "b".repeat(256) } },
    { object: { ...object, bucket: "b\0" } },
    { object: { ...object, objectKey: "" } },
    { object: { ...object, objectKey: "k".repeat(4097) } },
    { object: { ...object, objectKey: "\u{1F40B}".repeat(1025) } },
    { object, staleEtag: "e".repeat(1025) },
    { object: { ...object, versionId: "" } },
    { object: { ...object, versionId: "v\0" } },
    { object: { ...object, versionId: "v".repeat(1025) } },
  ];
  for (const request of heads) {
    throwsWith("invalid_argument", () => decodeHeadRequest(sent(HeadObjectRequestSchema, request)));
  }
  const list = { originId: "o", bucket: "b", maxKeys: 1 };
  const lists: readonly MessageInitShape<typeof ListObjectsRequestSchema>[] = [
    { ...list, maxKeys: 0 },
    { ...list, maxKeys: 1001 },
    { ...list, maxKeys: 2 ** 32 - 1 },
    { ...list, originId: "" },
    { ...list, bucket: "" },
    { ...list, prefix: "p".repeat(4097) },
    { ...list, delimiter: "p".repeat(4097) },
    { ...list, startAfter: "p".repeat(4097) },
    { ...list, continuationToken: "t".repeat(8193) },
  ];
  for (const request of lists) {
    throwsWith("invalid_argument", () => decodeListRequest(sent(ListObjectsRequestSchema, request)));
  }
});

test("decodeHeadAnswer, decodeListAnswer: an invalid answer is rejected", () => {
  const head = { size: 1n, etag: "e" };
  const heads: readonly MessageInitShape<typeof HeadObjectResponseSchema>[] = [
    {},
    { answer: { case: "head", value: { ...head, size: 2n ** 53n } } },
    { answer: { case: "head", value: { ...head, etag: "" } } },
    { answer: { case: "head", value: { ...head, etag: 'a"b' } } },
    { answer: { case: "head", value: { ...head, etag: "a\r\nHost: evil" } } },
    { answer: { case: "head", value: { ...head, etag: "e".repeat(1025) } } },
    { answer: { case: "head", value: { ...head, lastModifiedMs: 2n ** 63n - 1n } } },
    { answer: { case: "head", value: { ...head, lastModifiedMs: -(2n ** 63n) } } },
    { answer: { case: "absence", value: {} }, ttlRemainingMs: 2n ** 64n - 1n },
    { answer: { case: "refusal", value: { code: "origin_unavailable" } } },
    { answer: { case: "refusal", value: { code: "constructor" } } },
    { answer: { case: "refusal", value: { code: "origin_on_fire" } } },
  ];
  for (const answer of heads) {
    throwsWith("invalid_argument", () =>
      decodeHeadAnswer(sent(HeadObjectResponseSchema, answer), { bucket: "b", key: "k" }),
    );
  }
  const lists: readonly MessageInitShape<typeof ListObjectsResponseSchema>[] = [
    { objects: [{}] },
    { objects: [{ objectKey: "k".repeat(4097) }] },
    { objects: [{ objectKey: "k", size: 2n ** 53n }] },
    { objects: [{ objectKey: "k", lastModifiedMs: 2n ** 62n }] },
    { objects: [{ objectKey: "k", etag: "e".repeat(1025) }] },
    { ttlRemainingMs: 2n ** 53n },
  ];
  for (const answer of lists) {
    throwsWith("invalid_argument", () =>
      decodeListAnswer(sent(ListObjectsResponseSchema, answer), objectsOnly),
    );
  }
});
