/** `orca verify-reads --listings`: against a replica that is right, and against a server that lies in the place of one. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { ListingComparison, type ListingDifference } from "../../../src/cli/verify/listing-comparison.ts";
import type { ServedObjects, ServedPage } from "../../../src/cli/verify/served-objects.ts";
import type { GuardedOrigin } from "../../../src/origin/guarded-origin.ts";
import { runOrca } from "../../support/command-line.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { startReplica, testBucket } from "../../support/replica-fixture.ts";
import { S3Server } from "../../support/s3-server.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-verify-listings-"));
const configFile = join(folder, "orca.yaml");
after(() => rmSync(folder, { recursive: true }));

/** Older than every TTL. */
const lastModifiedMs = Date.UTC(2020, 0, 1);

let origin: S3Server;
beforeEach(async () => {
  origin = await S3Server.start({ buckets: ["data", testBucket] });
});
afterEach(() => origin.stop());

function configure(bucket: string, prefix: string): void {
  writeFileSync(
    configFile,
    `origin:
  id: test
  driver: awss3
  awss3: { endpoint: "${origin.endpoint}", use_path_style: true }
  buckets: { ${bucket}: { bucket: ${bucket}, prefix: "${prefix}" } }
`,
  );
}

async function verify(url: string, endpoint: string) {
  const flags = [
    "--against",
    "origin",
    "--config",
    configFile,
    "--endpoint",
    endpoint,
    "--listings",
    "--json",
  ];
  const outcome = await runOrca(["verify-reads", url, ...flags], {
    clock: new SystemClock(),
    env: { ORCA_AWSS3_ACCESS_KEY: "test", ORCA_AWSS3_SECRET_KEY: "test-secret" },
    stopSignal: () => Promise.withResolvers<string>().promise,
  });
  const { differences, ...result } = JSON.parse(outcome.stdout) as {
    readonly equal: number;
    readonly changed: number;
    readonly differences: Readonly<Record<string, number>>;
    readonly stopped: string | null;
    readonly first: readonly ListingDifference[];
  };
  const found = Object.fromEntries(Object.entries(differences).filter(([, count]) => count > 0));
  return { ...outcome, ...result, found };
}

test("verify-reads --listings: a replica lists as the origin, over pages and tokens, with and without a delimiter", async () => {
  for (let index = 0; index < 1100; index += 1)
    origin.put(testBucket, `run/${index % 40}/${index}`, { body: "x", lastModifiedMs });
  for (const key of ["run/a b+c%20é", "run/\u{1F40B}", "run/~", "run/ÿ/", "run/0"])
    origin.put(testBucket, key, { body: key, lastModifiedMs });
  configure(testBucket, "");
  const replica = await startReplica({ origin });
  try {
    const { exitCode, equal, found, stopped, stderr } = await verify(
      `s3://${testBucket}/run/`,
      replica.endpoint,
    );
    assert.deepEqual([exitCode, found, stopped], [0, {}, null], stderr);
    // 1,105 keys flat; 40 folders, 4 keys and a prefix by /; twice 20 pages of 3.
    assert.equal(equal, 1105 + 45 + 60 + 45);
  } finally {
    await replica.stop();
  }
});

test("verify-reads --listings: what is missing, wrong and too much is named, and what is young has changed", async () => {
  const orca = await S3Server.start({ buckets: ["data"] });
  try {
    configure("data", "top/");
    const both = (key: string): void => {
      origin.put("data", `top/${key}`, { body: key, lastModifiedMs });
      orca.put("data", key, { body: key, lastModifiedMs });
    };
    for (const key of ["a", "c", "e"]) both(key);
    origin.put("data", "top/b-missing", { body: "b", lastModifiedMs });
    orca.put("data", "d-extra", { body: "d", lastModifiedMs });
    origin.put("data", "top/e", { body: "longer", lastModifiedMs });
    origin.put("data", "top/f-young", { body: "f" });
    const { exitCode, equal, changed, found, first, stderr } = await verify("s3://data", orca.endpoint);
    assert.equal(exitCode, 1);
    // Each of the four forms sees all.
    assert.deepEqual([equal, changed, found], [8, 4, { wrong: 4, missing: 4, extra: 4 }]);
    assert.deepEqual(
      first.filter(({ form }) => form === "flat").map(({ class: kind, key }) => [kind, key]),
      [
        ["missing", "b-missing"],
        ["extra", "d-extra"],
        ["wrong", "e"],
      ],
    );
    assert.match(
      stderr,
      /^ {2}"e" \(flat, .*\): Orca lists 1 bytes, ETag "\w+"; the origin 6 bytes, ETag "\w+"$/m,
    );
    orca.faults.always("LIST", "", { status: 403 });
    const denied = await verify("s3://data", orca.endpoint);
    assert.deepEqual([denied.exitCode, denied.found], [1, { failed: 4 }]);
    await orca.stop();
    const gone = await verify("s3://data", orca.endpoint);
    assert.deepEqual([gone.exitCode, gone.found], [1, { failed: 4 }]);
  } finally {
    await orca.stop().catch(() => undefined);
  }
});

test("verify-reads --listings: it ends after 100 differences", async () => {
  const orca = await S3Server.start({ buckets: ["data"] });
  try {
    configure("data", "");
    for (let index = 0; index < 300; index += 1)
      origin.put("data", `many/${index}`, { body: "m", lastModifiedMs });
    const { exitCode, found, stopped, first } = await verify("s3://data", orca.endpoint);
    assert.deepEqual([exitCode, found, stopped, first.length], [1, { missing: 100 }, "differences", 5]);
  } finally {
    await orca.stop();
  }
});

const entry = { name: "a", sizeBytes: 1, etag: "e" };
const whole: ServedPage = { entries: [entry], keyCount: 1, isTruncated: false, nextToken: "" };

for (const [what, pages, reason] of [
  ["a count that is none", [{ ...whole, keyCount: 2 }], /1 entries; KeyCount is 2/],
  [
    "more than was asked for",
    [{ ...whole, entries: [entry, { ...entry, name: "b" }, { ...entry, name: "c" }], keyCount: 3 }],
    /MaxKeys 2/,
  ],
  ["a cut page without a token", [{ ...whole, isTruncated: true }], /IsTruncated is true/],
  ["a key twice", [{ ...whole, isTruncated: true, nextToken: "t" }, whole], /"a" comes after "a"/],
  [
    "the same token again",
    [
      { ...whole, isTruncated: true, nextToken: "t" },
      { ...whole, entries: [{ ...entry, name: "b" }], isTruncated: true, nextToken: "t" },
    ],
    /the token of the one before/,
  ],
] as const) {
  test(`ListingComparison: ${what} is a fault of the pages`, async () => {
    const left: ServedPage[] = [...pages];
    const found: ListingDifference[] = [];
    const comparison = new ListingComparison({
      served: { endpoint: "http://x", list: async () => left.shift() ?? whole } as unknown as ServedObjects,
      bucket: "b",
      prefix: "",
      origin: {
        list: async () => ({
          objects: ["a", "b", "c"].map((key) => ({ key, sizeBytes: 1, etag: "e", lastModifiedMs: 0 })),
          commonPrefixes: [],
          nextContinuationToken: "",
        }),
      } as unknown as GuardedOrigin,
      place: { bucket: "b", prefix: "" },
      ttlMs: 0,
      clock: new FakeClock(),
      onEntry: (outcome) => {
        if (typeof outcome !== "string") found.push(outcome);
      },
    });
    const form = { name: "flat", delimiter: "", maxKeys: 2, pagesMax: 9 };
    await comparison.compare(form, new AbortController().signal);
    assert.deepEqual(
      found.map(({ class: kind }) => kind),
      ["paging"],
    );
    assert.match(found[0]?.detail ?? "", reason);
  });
}
