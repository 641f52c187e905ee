/** `orca verify-reads` with a scripted origin, and with a server in the place of Orca that lies in every way. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { MiB } from "../../../src/base/units.ts";
import { runOrca } from "../../support/command-line.ts";
import type { CommandOutcome } from "../../support/ops-command.ts";
import { patternBytes } from "../../support/pattern.ts";
import { freePort } from "../../support/process.ts";
import { startReplica, testBucket } from "../../support/replica-fixture.ts";
import { S3Server } from "../../support/s3-server.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-verify-reads-"));
const configFile = join(folder, "orca.yaml");
after(() => rmSync(folder, { recursive: true }));

/** Older than every TTL. */
const longAgoMs = Date.UTC(2020, 0, 1);
const sizeBytes = 9 * MiB + 17;

let origin: S3Server;
let orca: S3Server;
beforeEach(async () => {
  [origin, orca] = [await S3Server.start({ buckets: ["data"] }), await S3Server.start({ buckets: ["data"] })];
  writeFileSync(
    configFile,
    `origin:
  id: test
  driver: awss3
  awss3: { endpoint: "${origin.endpoint}", use_path_style: true }
  retry: { backoff_initial: 1ms, backoff_max: 1ms }
  buckets: { data: { bucket: data, prefix: top/ } }
`,
  );
});
afterEach(() => Promise.all([origin.stop(), orca.stop()]));

/** Stores an object at the origin, and as Orca serves it. */
function store(key: string, seed: number, bytes: number, lastModifiedMs = longAgoMs): string {
  const body = patternBytes(seed, 0, bytes);
  origin.put("data", `top/${key}`, { body, lastModifiedMs });
  return orca.put("data", key, { body, lastModifiedMs }).etag;
}

function flagsAt(endpoint: string): string[] {
  return ["--against", "origin", "--config", configFile, "--endpoint", endpoint];
}

function overrides(stopSignal = (): Promise<string> => Promise.withResolvers<string>().promise) {
  const env = { ORCA_AWSS3_ACCESS_KEY: "test", ORCA_AWSS3_SECRET_KEY: "test-secret" };
  return { clock: new SystemClock(), env, stopSignal };
}

function verify(...more: readonly string[]): Promise<CommandOutcome> {
  return verifyAt(orca.endpoint, ...more);
}

function verifyAt(endpoint: string, ...more: readonly string[]): Promise<CommandOutcome> {
  return runOrca(["verify-reads", "s3://data", ...flagsAt(endpoint), "--seed", "7", ...more], overrides());
}

interface Found {
  readonly class: string;
  readonly key: string;
  readonly offset: number | null;
  readonly whole: boolean;
}

function found({ stdout }: CommandOutcome): {
  readonly equal: number;
  readonly changed: number;
  readonly bytes: number;
  readonly objects: number;
  readonly differences: Readonly<Record<string, number>>;
  readonly stopped: string | null;
  readonly first: readonly Found[];
} {
  return JSON.parse(stdout);
}

const none = { wrong: 0, stale: 0, missing: 0, failed: 0, unread: 0 };

test("orca verify-reads: objects that are equal are, whole and in ranges, and so are empty ones", async () => {
  store("a/large", 1, sizeBytes);
  store("a/b c+é%20", 2, 1000);
  store("a/empty", 3, 0);
  store("other", 4, 10);
  const outcome = await verify("--clients", "3", "--ranges", "5", "--json");
  assert.equal(outcome.exitCode, 0, outcome.stderr);
  const { equal, changed, objects, differences, first, stopped } = found(outcome);
  assert.deepEqual(
    { equal, changed, objects, first, stopped },
    { equal: 19, changed: 0, objects: 4, first: [], stopped: null },
  );
  assert.deepEqual(differences, none);
  assert.equal(orca.requests.filter(({ range }) => range === undefined).length, 4);
  assert.equal(orca.count("GET"), 19);
  assert.match(outcome.stderr, /^verify-reads {2}100% {2}/m);
});

/** The ranges that a run with one client and seed 3 asks for. */
async function rangesOfRun(): Promise<(string | undefined)[]> {
  orca.forgetRequests();
  const outcome = await runOrca(
    ["verify-reads", "s3://data/a/", ...flagsAt(orca.endpoint), "--clients", "1", "--seed", "3"],
    overrides(),
  );
  assert.match(
    outcome.stdout,
    /^Compared 5 reads of 1 object below s3:\/\/data\/a\/ \(1 whole, 4 ranges; .*seed 3\n5 equal, no difference\n$/,
  );
  assert.equal(outcome.exitCode, 0);
  return orca.requests.map(({ range }) => range);
}

test("orca verify-reads: a prefix of clients is read, the report says what, and the seed repeats its ranges", async () => {
  store("a/one", 1, 100_000);
  store("b", 2, 10);
  const ranges = await rangesOfRun();
  assert.equal(new Set(ranges).size, 5);
  assert.deepEqual(await rangesOfRun(), ranges);
});

test("orca verify-reads: one wrong byte is found, and named by key and offset", async () => {
  store("right", 1, 3 * MiB);
  const etag = store("lies", 2, sizeBytes);
  const offset = 6 * MiB + 12_345;
  const body = patternBytes(2, 0, sizeBytes);
  body[offset] = (body[offset] ?? 0) ^ 1;
  orca.put("data", "lies", { body, etag });
  const outcome = await verify("--ranges", "0", "--json");
  assert.equal(outcome.exitCode, 1);
  const { equal, differences, first } = found(outcome);
  assert.deepEqual([equal, differences], [1, { ...none, wrong: 1 }]);
  assert.deepEqual(
    first.map(({ class: kind, key, offset: at, whole }) => [kind, key, at, whole]),
    [["wrong", "lies", offset, true]],
  );
  assert.match(outcome.stderr, /^wrong: bytes differ under one and the same ETag/m);
  assert.match(
    outcome.stderr,
    new RegExp(
      `^ {2}"lies" \\(whole object, ${orca.endpoint}\\) at offset ${offset}: Orca sends [0-9a-f]{16}; the origin has [0-9a-f]{16}$`,
      "m",
    ),
  );
});

test("orca verify-reads: a wrong byte in a range has its offset in the object", async () => {
  const etag = store("lies", 2, 200_000);
  orca.put("data", "lies", { body: Buffer.alloc(200_000), etag });
  const outcome = await verify("--ranges", "3", "--clients", "1", "--json");
  const { differences, first } = found(outcome);
  assert.deepEqual(differences, { ...none, wrong: 4 });
  const starts = orca.requests.map(({ range }) => Number(/\d+/.exec(range ?? "0")?.[0]));
  assert.deepEqual(
    first.map(({ offset }) => offset),
    starts,
  );
});

test("orca verify-reads: an object that is overwritten between both reads is changed, and not wrong", async () => {
  store("busy", 1, sizeBytes);
  const gate = orca.faults.hold("GET", "busy", 0);
  const running = verify("--ranges", "0", "--json");
  await gate.reached;
  origin.put("data", "top/busy", { body: patternBytes(9, 0, sizeBytes), lastModifiedMs: longAgoMs });
  gate.release();
  const outcome = await running;
  assert.equal(outcome.exitCode, 0, outcome.stderr);
  const { equal, changed, differences } = found(outcome);
  assert.deepEqual([equal, changed, differences], [0, 1, none]);
});

test("orca verify-reads: an old version is changed while its TTL lasts, and stale after that", async () => {
  store("fresh", 1, 5000);
  origin.put("data", "top/fresh", { body: patternBytes(8, 0, 5000), lastModifiedMs: Date.now() });
  store("old", 2, 5000);
  origin.put("data", "top/old", { body: patternBytes(9, 0, 5000), lastModifiedMs: longAgoMs });
  const outcome = await verify("--ranges", "0", "--json");
  assert.equal(outcome.exitCode, 1);
  const { changed, differences, first } = found(outcome);
  assert.deepEqual([changed, differences], [1, { ...none, stale: 1 }]);
  assert.deepEqual(
    first.map(({ key, class: kind }) => [kind, key]),
    [["stale", "old"]],
  );
});

test("orca verify-reads: an object that Orca does not find is missing, unless it is new", async () => {
  origin.put("data", "top/new", { body: "new" });
  origin.put("data", "top/old", { body: "old", lastModifiedMs: longAgoMs });
  const outcome = await verify("--ranges", "0", "--json");
  const { changed, differences, first } = found(outcome);
  assert.deepEqual([outcome.exitCode, changed, differences], [1, 1, { ...none, missing: 1 }]);
  assert.deepEqual(
    first.map(({ key }) => key),
    ["old"],
  );
});

test("orca verify-reads: an answer of another length is wrong, one that is cut or an error has failed", async () => {
  for (const key of ["cut", "denied", "short"]) store(key, 1, 3 * MiB);
  orca.put("data", "short", { body: patternBytes(1, 0, 100), etag: orca.get("data", "short")?.etag ?? "" });
  orca.faults.always("GET", "cut", { cutAfterBytes: 2 * MiB });
  orca.faults.always("GET", "denied", { status: 403 });
  const outcome = await verify("--ranges", "0", "--json");
  const { differences, first } = found(outcome);
  assert.deepEqual([outcome.exitCode, differences], [1, { ...none, wrong: 1, failed: 2 }]);
  const byKey = new Map(first.map((each) => [each.key, [each.class, each.offset]]));
  assert.deepEqual(byKey.get("cut"), ["failed", 2 * MiB]);
  assert.deepEqual(byKey.get("denied"), ["failed", null]);
  assert.deepEqual(byKey.get("short"), ["wrong", null]);
});

test("orca verify-reads: what the origin does not tell is unread, and an origin that lists nothing ends the run", async () => {
  store("a", 1, 10);
  origin.faults.always("GET", "top/a", { status: 403 });
  const outcome = await verify("--ranges", "0", "--json");
  assert.deepEqual([outcome.exitCode, found(outcome).differences], [1, { ...none, unread: 1 }]);
  origin.faults.always("LIST", "*", { status: 403 });
  const { exitCode, stderr } = await verify();
  assert.equal(exitCode, 1);
  assert.match(stderr, /^orca: .*403/m);
});

test("orca verify-reads: it ends after 100 differences, and shows five of them", async () => {
  for (let index = 0; index < 110; index += 1)
    origin.put("data", `top/${index}`, { body: "x", lastModifiedMs: longAgoMs });
  const outcome = await verify("--ranges", "0", "--json", "--clients", "2");
  const { differences, first, stopped } = found(outcome);
  assert.deepEqual(
    [outcome.exitCode, differences, first.length, stopped],
    [1, { ...none, missing: 100 }, 5, "differences"],
  );
});

test("orca verify-reads: --objects reads as many, picked at random", async () => {
  for (let index = 0; index < 50; index += 1) store(`k${index}`, index, 10);
  const { exitCode } = await verify("--objects", "7", "--ranges", "0");
  assert.equal(exitCode, 0);
  const keys = new Set(orca.requests.map(({ key }) => key));
  assert.equal(keys.size, 7);
  assert.notDeepEqual(
    [...keys].sort(),
    [...Array(7).keys()].map((index) => `k${index}`),
  );
});

test("orca verify-reads: Ctrl-C ends it with what it has found, and exit code 1", async () => {
  store("held", 1, 3 * MiB);
  const gate = orca.faults.hold("GET", "held", MiB);
  const stop = Promise.withResolvers<string>();
  const stopSignal = (): Promise<string> => stop.promise;
  const running = runOrca(
    ["verify-reads", "s3://data", ...flagsAt(orca.endpoint), "--ranges", "0"],
    overrides(stopSignal),
  );
  await gate.reached;
  stop.resolve("SIGINT");
  const { exitCode, stdout } = await running;
  gate.release();
  assert.equal(exitCode, 1);
  assert.match(stdout, /^It was stopped before all was read$/m);
});

test("orca verify-reads: a replica in front of the origin serves what it holds, cold and warm", async () => {
  const fixture = await startReplica();
  const { origin: ownOrigin, endpoint } = fixture;
  try {
    ownOrigin.put(testBucket, "large", { seed: 5, sizeBytes: 20 * MiB });
    ownOrigin.put(testBucket, "empty", { body: "" });
    const url = `s3://${testBucket}?endpoint=${encodeURIComponent(ownOrigin.endpoint)}&path_style=true`;
    for (const _ of ["cold", "warm"]) {
      const common = ["--against", "origin", "--origin", url, "--endpoint", endpoint];
      const outcome = await runOrca(
        ["verify-reads", `s3://${testBucket}`, ...common, "--clients", "4", "--json"],
        overrides(),
      );
      assert.equal(outcome.exitCode, 0, outcome.stderr);
      assert.equal(found(outcome).equal, 6);
    }
  } finally {
    await fixture.stop();
  }
});

test("orca verify-reads: a wrong command line is exit code 2, and says what is expected", async () => {
  const ok = ["verify-reads", "s3://data", "--against", "origin", "--config", configFile];
  for (const [args, message] of [
    [["verify-reads", "s3://data"], /missing option "--against WHAT"/],
    [["verify-reads", "s3://data", "--against", "disk"], /invalid value "disk" for "--against WHAT".*origin/],
    [["verify-reads", "data", "--against", "origin"], /Cannot read "data": expected s3:\/\/BUCKET or/],
    [
      ["verify-reads", "s3://data", "--against", "origin"],
      /give either --config FILE or --origin URL, because there is no/,
    ],
    [[...ok, "--endpoint", "localhost"], /Cannot use the value of --endpoint/],
    [[...ok, "--clients", "0"], /expected a whole number from 1 to 1000/],
    [
      ["verify-reads", "s3://nope", ...ok.slice(2)],
      /Cannot read bucket "nope": the configuration serves "data"/,
    ],
  ] as const) {
    const { exitCode, stderr } = await runOrca(args, {
      env: { ORCA_AWSS3_ACCESS_KEY: "t", ORCA_AWSS3_SECRET_KEY: "t" },
    });
    assert.match(stderr, message);
    assert.equal(exitCode, 2);
  }
});

test("orca verify-reads: a replica that does not listen fails each read", async () => {
  store("a", 1, 10);
  const outcome = await verifyAt(`http://127.0.0.1:${await freePort()}`, "--ranges", "1", "--json");
  assert.deepEqual([outcome.exitCode, found(outcome).differences], [1, { ...none, failed: 2 }]);
});
