/** Reads that S3 clients send: methods, headers and queries, of each kind of object and of bucket, by several users. */

export type Who = "owner" | "stranger" | "nobody";

export interface Read {
  readonly who: Who;
  readonly method: "GET" | "HEAD";
  /** Not encoded; empty for the service itself. */
  readonly bucket: string;
  /** Not encoded; undefined for the bucket itself. */
  readonly key?: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** What a store must hold. Each kind of object lies in `models` unless its name begins with another bucket's. */
export const buckets = { main: "models", open: "open", versioned: "versioned", absent: "absent-bucket" };

export const objects = {
  empty: "empty",
  small: "small",
  multipart: "in-parts",
  odd: ["odd/a b+c", "odd/é%2F&=?#", "odd//two", "odd/tab\ttab", "odd/<x>'\"*()~;,:@$!"],
  public: "public",
  absent: "absent",
} as const;

const past = "Sat, 01 Jan 2000 00:00:00 GMT";
const future = "Fri, 01 Jan 2100 00:00:00 GMT";

/** `etag` is the object's, in quotes. */
function objectHeaders(etag: string): Record<string, string>[] {
  const other = '"0123456789abcdef0123456789abcdef"';
  const ranges = [
    "bytes=0-0",
    "bytes=0-9",
    "bytes=5-",
    "bytes=-5",
    "bytes=-0",
    "bytes=-9999999999",
    "bytes=0-9999999999",
    "bytes=9999999999-",
    "bytes=3-0",
    "bytes=a-b",
    "bytes=-",
    "0-1",
    "items=0-1",
    "bytes=0-1,3-4",
    "bytes= 0-1",
    "BYTES=0-1",
  ];
  return [
    {},
    ...ranges.map((range) => ({ range })),
    { "if-match": etag },
    { "if-match": etag.replaceAll('"', "") },
    { "if-match": other },
    { "if-match": "*" },
    { "if-none-match": etag },
    { "if-none-match": other },
    { "if-none-match": "*" },
    { "if-modified-since": past },
    { "if-modified-since": future },
    { "if-modified-since": "yesterday" },
    { "if-unmodified-since": past },
    { "if-unmodified-since": future },
    { "if-match": etag, "if-unmodified-since": past },
    { "if-match": other, "if-unmodified-since": future },
    { "if-none-match": etag, "if-modified-since": past },
    { "if-none-match": other, "if-modified-since": future },
    { "if-match": etag, "if-none-match": etag },
    { range: "bytes=0-1", "if-match": other },
    { range: "bytes=0-1", "if-none-match": etag },
    { range: "bytes=0-1", "if-range": etag },
    { range: "bytes=0-1", "if-range": other },
    { "accept-encoding": "gzip" },
    { "x-amz-checksum-mode": "ENABLED" },
  ];
}

/** Beside a part. */
function partHeaders(etag: string): Record<string, string>[] {
  return [
    { range: "bytes=0-1" },
    { "if-match": etag },
    { "if-match": '"0123456789abcdef0123456789abcdef"' },
    { "if-none-match": etag },
    { "x-amz-checksum-mode": "ENABLED" },
  ];
}

const objectQueries: readonly Record<string, string>[] = [
  { partNumber: "1" },
  { partNumber: "2" },
  { partNumber: "3" },
  { partNumber: "0" },
  { partNumber: "x" },
  { partNumber: "" },
  { partNumber: "-1" },
  { partNumber: "10000" },
  { partNumber: "10001" },
  { versionId: "null" },
  { versionId: "no-version" },
  { versionId: "no-version", partNumber: "1" },
  { "response-content-type": "text/x-test" },
  {
    "response-cache-control": "no-store",
    "response-content-disposition": 'attachment; filename="a b"',
    "response-content-encoding": "identity",
    "response-content-language": "de",
    "response-expires": past,
  },
  { "x-id": "GetObject" },
  { unknown: "1" },
  { acl: "" },
  { tagging: "" },
  { retention: "" },
  { "legal-hold": "" },
  { attributes: "" },
];

const listQueries: readonly Record<string, string>[] = [
  {},
  { prefix: "odd/" },
  { prefix: "odd" },
  { prefix: "odd/", delimiter: "/" },
  { delimiter: "/" },
  { delimiter: "d" },
  { delimiter: "dd/" },
  { delimiter: "" },
  { prefix: "nothing" },
  { prefix: "" },
  { "max-keys": "0" },
  { "max-keys": "1" },
  { "max-keys": "2" },
  { "max-keys": "2", delimiter: "/" },
  { "max-keys": "2000" },
  { "max-keys": "-1" },
  { "max-keys": "x" },
  { "max-keys": "" },
  { "encoding-type": "url" },
  { "encoding-type": "url", prefix: "odd/", delimiter: "/" },
  { "encoding-type": "url", prefix: "odd/tab\t" },
  { "encoding-type": "other" },
];
const firstVersionQueries: readonly Record<string, string>[] = [
  { marker: "in-parts" },
  { marker: "odd/", delimiter: "/" },
  { marker: "zzz" },
  { marker: "" },
];
const secondVersionQueries: readonly Record<string, string>[] = [
  { "start-after": "in-parts" },
  { "start-after": "odd/", delimiter: "/" },
  { "start-after": "zzz" },
  { "start-after": "" },
  { "fetch-owner": "true" },
  { "fetch-owner": "false" },
  { "continuation-token": "" },
  { "continuation-token": "made-up" },
];
/** Queries about the configuration of a bucket. */
export const bucketQueries = [
  "location",
  "versioning",
  "uploads",
  "acl",
  "tagging",
  "policy",
  "cors",
  "lifecycle",
  "website",
  "object-lock",
  "encryption",
  "notification",
  "logging",
  "replication",
  "requestPayment",
  "policyStatus",
  "publicAccessBlock",
];

const methods = ["GET", "HEAD"] as const;
const everybody = ["owner", "stranger", "nobody"] as const;
const plain = { who: "owner", query: {}, headers: {} } as const;

/** The versions of an object of the bucket with versions: ids and ETags, the oldest first. Undefined: a delete marker. */
export interface Version {
  readonly id: string;
  /** In quotes. */
  readonly etag: string | undefined;
}

/** Objects of the bucket with versions. `before` was first written when it had none. */
export const versionedKeys = ["twice", "deleted", "before", "odd/a b+c%2F"];

/** @param etagOf the ETag of each object of the main bucket, in quotes. */
export function* allReads(
  etagOf: (key: string) => string,
  versionsOf: (key: string) => readonly Version[],
): Generator<Read> {
  const { empty, small, multipart, odd, absent } = objects;
  for (const method of methods) {
    for (const key of [empty, small, multipart, ...odd, absent]) {
      const object = { ...plain, method, bucket: buckets.main, key };
      // To a key that is only named oddly, few headers do something of their own.
      const headers = objectHeaders(etagOf(key)).slice(0, odd.some((each) => each === key) ? 6 : undefined);
      for (const each of headers) yield { ...object, headers: each };
      for (const query of objectQueries) yield { ...object, query };
      for (const each of partHeaders(etagOf(key))) {
        for (const partNumber of ["1", "2"]) yield { ...object, query: { partNumber }, headers: each };
      }
    }
    yield* readsByRight(method);
  }
  yield* lists();
  yield* bucketReads();
  for (const key of versionedKeys) yield* versionReads(key, versionsOf(key));
  yield* versionLists(versionsOf);
}

function* versionReads(key: string, versions: readonly Version[]): Generator<Read> {
  for (const method of methods) {
    const object = { ...plain, method, bucket: buckets.versioned, key };
    yield object;
    for (const { id, etag } of [
      ...versions,
      { id: "null", etag: undefined },
      { id: "no-version", etag: undefined },
    ]) {
      const version = { ...object, query: { versionId: id } };
      for (const who of everybody) yield { ...version, who };
      if (etag === undefined) continue;
      for (const headers of objectHeaders(etag).slice(0, 24)) yield { ...version, headers };
      yield { ...version, query: { versionId: id, "response-content-type": "text/x-test" } };
      yield { ...version, key: objects.absent };
    }
  }
}

function* versionLists(versionsOf: (key: string) => readonly Version[]): Generator<Read> {
  const list = { ...plain, method: "GET", bucket: buckets.versioned } as const;
  for (const query of listQueries) yield { ...list, query: { versions: "", ...query } };
  for (const key of versionedKeys) {
    for (const { id } of versionsOf(key)) {
      const place = { versions: "", "key-marker": key, "version-id-marker": id };
      for (const query of [{}, { "max-keys": "1" }, { "max-keys": "2", "encoding-type": "url" }])
        yield { ...list, query: { ...place, ...query } };
    }
    yield { ...list, query: { versions: "", "key-marker": key } };
  }
  yield { ...list, query: { versions: "", "key-marker": "zzz" } };
  for (const who of everybody) {
    yield { ...list, who, query: { versions: "" } };
    yield { ...list, who, bucket: buckets.main, query: { versions: "" } };
  }
}

/** Lists to be read page by page. */
export function* pagedLists(): Generator<Read> {
  const list = { ...plain, method: "GET", bucket: buckets.main } as const;
  for (const pageSize of ["1", "2", "3"]) {
    for (const query of [
      {},
      { prefix: "odd/" },
      { delimiter: "/" },
      { delimiter: "d" },
      { "encoding-type": "url" },
      { "start-after": "in-parts" },
      { "fetch-owner": "true" },
    ])
      yield { ...list, query: { "list-type": "2", "max-keys": pageSize, ...query } };
  }
}

function* readsByRight(method: Read["method"]): Generator<Read> {
  const { small, public: open, absent } = objects;
  for (const who of everybody) {
    for (const [bucket, key] of [
      [buckets.main, small],
      [buckets.main, open],
      [buckets.main, absent],
      [buckets.open, open],
      [buckets.open, absent],
      [buckets.absent, small],
      [buckets.versioned, "twice"],
      [buckets.versioned, "deleted"],
    ] as const) {
      const object = { ...plain, who, method, bucket, key };
      yield object;
      yield { ...object, headers: { range: "bytes=0-1" } };
      yield { ...object, headers: { "if-none-match": "*" } };
      yield { ...object, query: { "response-content-type": "text/x-test" } };
      yield { ...object, query: { partNumber: "1" } };
    }
  }
}

function* lists(): Generator<Read> {
  const list = { ...plain, method: "GET", bucket: buckets.main } as const;
  for (const query of [...listQueries, ...firstVersionQueries]) yield { ...list, query };
  for (const query of [...listQueries, ...secondVersionQueries])
    yield { ...list, query: { "list-type": "2", ...query } };
  for (const bucket of [buckets.main, buckets.open, buckets.absent]) {
    for (const who of everybody) {
      yield { ...list, bucket, who };
      yield { ...list, bucket, who, query: { "list-type": "2" } };
      yield { ...list, bucket, who, method: "HEAD" };
    }
  }
}

function* bucketReads(): Generator<Read> {
  for (const name of bucketQueries) {
    for (const who of everybody)
      yield { ...plain, method: "GET", bucket: buckets.main, who, query: { [name]: "" } };
  }
  for (const who of everybody) yield { ...plain, method: "GET", bucket: "", who };
}

/** As a person would write it. */
export function textOf({ who, method, bucket, key, query, headers }: Read): string {
  const search = new URLSearchParams(query).toString();
  const path = `/${bucket}${key === undefined ? "" : `/${key}`}`;
  const sent = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return [`${who} ${method} ${path}${search === "" ? "" : `?${search}`}`, ...sent].join("; ");
}
