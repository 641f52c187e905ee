/** The commands against a server that answers what a test says; e2e/cache-view.test.ts has them against a replica. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cacheClear } from "../../src/cli/cache-clear-command.ts";
import { cacheReport } from "../../src/cli/cache-report.ts";
import { cacheStats } from "../../src/cli/cache-stats-command.ts";
import { cacheVerify } from "../../src/cli/cache-verify-command.ts";
import { inspect } from "../../src/cli/inspect/inspect-command.ts";
import { inspectReport } from "../../src/cli/inspect/inspect-report.ts";
import type { VerifyDocument } from "../../src/ops/endpoints/cache-endpoints.ts";
import type { CacheDocument } from "../../src/ops/endpoints/cache-stats.ts";
import type { InspectDocument, ReplicaHoldings } from "../../src/ops/endpoints/inspect-endpoint.ts";
import { type OpsCommand, runOps, serveOps } from "../support/ops-command.ts";

const commands: Readonly<Record<string, OpsCommand>> = {
  stats: cacheStats,
  verify: (options) => cacheVerify({ ...options, progress: { write: () => true } }),
  clear: (options) => cacheClear({ ...options, prefix: "models/a", cachestore: true }),
  inspect: (options) => inspect({ ...options, url: "s3://models/k" }),
};

function verified(fields: Partial<VerifyDocument>): string {
  const document: VerifyDocument = {
    state: "running",
    checked_chunks: 1,
    checked_bytes: 1024,
    total_bytes: 4096,
    bad_chunks: 0,
    skipped_chunks: 0,
    cursor: "00/x",
    reason: "",
    last_finished: null,
    next: null,
    not_covered: ["memory"],
    ...fields,
  };
  return `${JSON.stringify(document)}\n`;
}

for (const [name, command] of Object.entries(commands)) {
  test(`${name}: no replica there is exit code 1, and what to check`, async () => {
    const { exitCode, stdout, stderr } = await runOps(command, "127.0.0.1:1");
    assert.deepEqual([exitCode, stdout], [1, ""]);
    assert.match(
      stderr,
      /^Cannot .* http:\/\/127\.0\.0\.1:1\/.*: .*\nIs a replica running there\?.*--ops URL\.\n$/,
    );
  });

  test(`${name}: a refusal is told as the replica says it; another server is none`, async (context) => {
    const refusing = await serveOps(context, (_, response) =>
      response.writeHead(403).end('{"error":"actions are switched \\u001b[2J off"}'),
    );
    const refused = await runOps(command, refusing);
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /: actions are switched \?\[2J off\n$/);
    for (const answer of ["<html>", "null", "{}", '{"state":1}\n', ""]) {
      const other = await serveOps(context, (_, response) => response.end(answer));
      const { exitCode, stdout } = await runOps(command, other);
      assert.deepEqual([exitCode, stdout], [1, ""], answer);
    }
    const absent = await runOps(
      command,
      await serveOps(context, (_, response) => response.writeHead(404).end()),
    );
    assert.match(absent.stderr, /is not an ops listener of Orca: it answers with status 404/);
  });

  test(`${name}: an address that is none is refused before anything is asked`, async () => {
    await assert.rejects(runOps(command, "ftp://x"), /--ops: expected the address/);
  });
}

test("verify, clear: the action is named, and what is asked for is in the query", async (context) => {
  const asked: unknown[] = [];
  const ops = await serveOps(context, (request, response) => {
    asked.push([request.method, request.url, request.headers["x-orca-action"], request.headers.origin]);
    response.end(
      request.url?.startsWith("/cache/verify")
        ? verified({ state: "complete" })
        : '{"objects":1,"memory":{"chunks":2,"bytes":2048},"disk":null,"cachestore":{"objects":1,"chunks":9,"failed":0}}',
    );
  });
  const { stdout } = await runOps(commands["clear"] as OpsCommand, ops);
  assert.equal(
    stdout,
    `Cleared "models/a" from this replica, and the metadata of 1 object

tier        chunks  bytes
memory           2  2 KiB
cachestore       9      -
`,
  );
  await runOps((options) => cacheVerify({ ...options, rateBytes: 7, progress: { write: () => true } }), ops);
  assert.deepEqual(asked, [
    ["POST", "/cache/clear?prefix=models%2Fa&cachestore=true", "clear", undefined],
    ["POST", "/cache/verify?bytes_per_second=7", "verify", undefined],
  ]);
});

test("verify: a bar follows it, and its end is told in a line", async (context) => {
  const ops = await serveOps(context, (_, response) => {
    response.write(verified({}));
    const last = { checked_chunks: 4, checked_bytes: 4096, bad_chunks: 2, skipped_chunks: 1 };
    response.end(verified({ ...last, state: "complete", not_covered: ["memory", "cachestore"] }));
  });
  let drawn = "";
  const progress = { isTTY: true, columns: 100, write: (text: string) => void (drawn += text) };
  const { exitCode, stdout } = await runOps((options) => cacheVerify({ ...options, progress }), ops);
  assert.equal(exitCode, 0);
  assert.match(drawn, /verify .* 25% {2}1 KiB of 4 KiB[^]*100% {2}4 KiB of 4 KiB/);
  assert.equal(
    stdout,
    `Checked 4 chunks (4 KiB): 2 bad ones, deleted; the next read fetches them again.
1 chunk could not be read for want of file descriptors or memory; verify again.
The cachestore was not looked through: its chunks are checked whenever they are read.
`,
  );
});

test("verify: one that did not come to its end is exit code 1, and how to go on", async (context) => {
  const ops = await serveOps(context, (_, response) =>
    response.end(verified({ state: "failed", reason: "EIO" })),
  );
  for (const json of [false, true]) {
    const { exitCode, stdout, stderr } = await runOps(commands["verify"] as OpsCommand, ops, { json });
    assert.equal(exitCode, 1);
    assert.match(json ? stderr : stdout, /It ended early: EIO\nIt is not finished: the same command goes on/);
  }
});

test("stats: tell how far the scrub is, what it found, and when it last finished", () => {
  const scrub: NonNullable<NonNullable<CacheDocument["disk"]>["scrub"]> = {
    state: "running",
    checked_chunks: 3,
    checked_bytes: 700,
    total_bytes: 2000,
    bad_chunks: 1,
    skipped_chunks: 0,
    cursor: "00/x",
    reason: "",
    last_finished: null,
    next: null,
  };
  const counts = { chunks: 0, bytes: 0, max_bytes: 1, evictions: 0, hits: 0, misses: 0 };
  const disk = { blocks_read: 0, bytes_read: 0, stored: 0, not_stored: 0, damaged: 0, vanished: 0 };
  const report = (fields: Partial<typeof scrub>): string =>
    cacheReport(
      {
        replica_id: "r0",
        memory: { ...counts, used_bytes: 0 },
        disk: {
          ...counts,
          ...disk,
          blocks: 3,
          pending_bytes: 0,
          errors: {},
          buckets: [],
          scrub: { ...scrub, ...fields },
        },
        cachestore: null,
        directories: [],
      },
      "host",
    );
  assert.match(report({}), /^disk: 3 blocks of chunks that are not whole, besides the chunks above$/m);
  assert.match(report({}), /^scrub: running at 35%, 1 bad chunk deleted, never finished$/m);
  const [last, next] = ["2026-01-01T00:00:00.000Z", "2026-01-31T00:00:00.000Z"];
  assert.match(
    report({ state: "complete", last_finished: last, next }),
    /^scrub: complete, 1 bad chunk deleted, last finished 2026-01-01T[\d:.]+Z, next due 2026-01-31T[\d:.]+Z$/m,
  );
});

function holdings(fields: Partial<ReplicaHoldings>): ReplicaHoldings {
  return {
    replica_id: "r0",
    self: false,
    coordinates: "",
    memory: "",
    disk: "",
    flight: "",
    cachestore: "",
    reason: null,
    ...fields,
  };
}

const inspected: InspectDocument = {
  bucket: "models",
  key: "llama.bin",
  origin: "weights",
  size: 9 * 2 ** 23,
  etag: "9a03",
  chunk_size: 2 ** 23,
  chunks: 9,
  replicas: [
    holdings({ self: true, coordinates: "0,3-5", memory: "0-3", disk: "0,3-5", flight: "6" }),
    holdings({ replica_id: "r1", coordinates: "1-2,6-8", cachestore: "8" }),
  ],
};

test("clear: a cachestore in which nothing was looked up or deleted is told, and is a failure", async (context) => {
  for (const [cachestore, told] of [
    ['{"objects":0,"chunks":0,"failed":0}', /^Nothing was looked up in the cachestore: /],
    ['{"objects":1,"chunks":9,"failed":2}', /^The cachestore did not delete 2 of 9 chunks/],
    ["null", /^Nothing was deleted from a cachestore: this replica has none/],
  ] as const) {
    const ops = await serveOps(context, (_, response) => {
      response.end(`{"objects":0,"memory":{"chunks":0,"bytes":0},"disk":null,"cachestore":${cachestore}}`);
    });
    const { exitCode, stderr } = await runOps(commands["clear"] as OpsCommand, ops);
    assert.equal(exitCode, 1);
    assert.match(stderr, told);
  }
});

test("inspect: chunks stand as ranges by replica and tiers", () => {
  assert.equal(
    inspectReport(inspected),
    `s3://models/llama.bin
72 MiB in 9 chunks of 8 MiB, ETag 9a03, origin weights

replica       coordinates  tiers         count  chunks
r0 (answers)  0,3-5        in flight         1  6
                           memory, disk      2  0,3
                           disk              2  4-5
                           memory            2  1-2
r1            1-2,6-8      cachestore        1  8

Held nowhere: 1 chunk: 7
`,
  );
});

test("inspect: parts of chunks are told from whole ones", () => {
  const report = inspectReport({
    ...inspected,
    chunks: 4,
    replicas: [
      holdings({ self: true, memory: "0-2", disk: "0,2-3", partial: "0-1,3" }),
      holdings({ replica_id: "r1", memory: "0" }),
    ],
  });
  assert.match(report, /^r0 \(answers\) +- +part in memory, part on disk +1 +0$/m);
  assert.match(report, /^ +part on disk +1 +3$/m);
  assert.match(report, /^ +part in memory +1 +1$/m);
  assert.match(report, /^ +memory, disk +1 +2$/m);
  assert.match(report, /\nEvery chunk is held somewhere\.\nHeld only in part: 2 chunks: 1,3\n$/);
});

test("inspect: lists that fit the terminal are whole", () => {
  const every = Array.from({ length: 40 }, (_, index) => index * 2).join(",");
  const document = {
    ...inspected,
    chunks: 80,
    replicas: [holdings({ self: true, memory: every, coordinates: "0-79" })],
  };
  assert.match(inspectReport(document, 240), /memory +40 +0,2,4,[\d,]+,78$/m);
  for (const columns of [100, 110]) {
    const report = inspectReport(document, columns);
    assert.match(report, /memory +40 +0,2,4,[\d,]+,\.\.\.$/m);
    const width = Math.max(...report.split("\n").map((line) => line.length));
    assert.ok(width <= columns, `${width} of ${columns}`);
  }
});

test("inspect: who does not answer is named, and long lists are cut", () => {
  const every = Array.from({ length: 100 }, (_, index) => index * 2).join(",");
  const report = inspectReport({
    ...inspected,
    chunks: 200,
    replicas: [
      holdings({ self: true, memory: every, coordinates: "0-199" }),
      holdings({
        replica_id: "r1",
        memory: null,
        disk: null,
        flight: null,
        cachestore: null,
        reason: 'Cannot ask "r1"',
      }),
    ],
  });
  assert.match(report, /^r0 \(answers\) +0-199 +memory +100 +0,2,4,[\d,]+,\.\.\.$/m);
  assert.match(report, /^r1 +- +no answer$/m);
  assert.match(
    report,
    /\nHeld nowhere \(1 replica did not answer\): 100 chunks: 1,3,[\d,]+\.\.\.\nCannot ask "r1"\n$/,
  );
});
