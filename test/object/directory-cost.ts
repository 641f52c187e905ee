/**
 * A process that prints the heap of a directory with as many entries as its first argument says, and what the directory
 * takes them to cost. Its second argument says which: `plain` ones, ones with user `metadata`, `error`s, `expired` ones, of
 * which the last versions are left, or `marker`s of invalidations. Each has been answered to a client once. The heads are
 * parsed as an origin sends them.
 */
import { defaultChunkTiers } from "../../src/chunk/chunk-layout.ts";
import { ObjectHeaders } from "../../src/edge/object-headers.ts";
import { parseHead, type ResponseHead } from "../../src/http-client/response-head.ts";
import { Directory } from "../../src/object/directory.ts";
import { OriginHeads } from "../../src/object/heads/origin-heads.ts";
import type { ObjectRecord } from "../../src/object/object-record.ts";
import { objectHeadOf } from "../../src/origin/http-object.ts";
import { FakeClock } from "../support/fake-clock.ts";

const entries = Number(process.argv[2]);
const kind = process.argv[3];

/** 2 KiB of values. The names differ from object to object, which is the worst case. */
function userMetadata(index: number): string {
  const value = (pair: number): string => `${index}/${pair} `.padEnd(256, "v");
  return Array.from({ length: 8 }, (_, pair) => `x-amz-meta-name-${index}-${pair}: ${value(pair)}\r\n`).join(
    "",
  );
}

function headOf(index: number) {
  const text =
    "HTTP/1.1 200 OK\r\nContent-Length: 4096\r\nContent-Type: application/octet-stream\r\n" +
    `ETag: "d41d8cd98f00b204e980${String(index).padStart(12, "0")}"\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n` +
    `Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n${kind === "metadata" ? userMetadata(index) : ""}` +
    // Nothing of this may stay in memory.
    `x-unrelated: ${"u".repeat(4096)}\r\n\r\n`;
  const head = parseHead(Buffer.from(text, "latin1")) as ResponseHead;
  return objectHeadOf(
    head,
    { metadataPrefix: "x-amz-meta-", versionHeader: "x-amz-version-id" },
    "Cannot read",
  );
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** As the handler of objects keeps them. */
class Headers {
  readonly #headers = new WeakMap<ObjectRecord, ObjectHeaders>();

  answer(record: ObjectRecord): void {
    const headers = new ObjectHeaders(record.head, "host");
    headers.forNotModified("id", "hit");
    this.#headers.set(record, headers);
  }

  has(record: ObjectRecord): boolean {
    return this.#headers.has(record);
  }
}

const headers = new Headers();
const clock = new FakeClock();
let last: ObjectRecord | undefined;
let asked = 0;
const directory = new Directory({
  source: new OriginHeads({ id: "origin-a", head: async () => (kind === "error" ? null : headOf(asked)) }),
  clock,
  chunkTiers: defaultChunkTiers,
  ttlMs: 300_000,
  negativeTtlMs: 60_000,
  entriesMax: entries,
});
const before = heapBytes();
for (asked = 0; asked < entries; asked += 1) {
  // As long as keys often are, and a part of a request line.
  const line = `/bucket/some/directory/of/small/objects/${asked}.json?X-Amz-Signature=${"s".repeat(512)}`;
  const location = { bucket: "bucket", key: line.slice("/bucket/".length, line.indexOf("?")) };
  if (kind === "marker") {
    directory.invalidate(location);
    continue;
  }
  const found = await directory.lookup(location);
  if (found.kind === "found") {
    last = found.record;
    headers.answer(last);
  }
}
if (kind === "expired") {
  last = undefined;
  await clock.advance(360_000);
}
const taken = heapBytes() - before;
if (last && !headers.has(last)) throw new Error("the headers are not kept");
console.log(JSON.stringify({ entries: directory.size, heapBytes: taken, countedBytes: directory.bytes }));
