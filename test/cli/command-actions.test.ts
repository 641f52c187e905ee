/** That what is typed reaches what a command does, for each command; what it does is tested beside it. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { formatBytes } from "../../src/base/units.ts";
import { scrubBytesPerSecond } from "../../src/store/scrub/scrub.ts";
import { runOrca } from "../support/command-line.ts";
import { serveOps } from "../support/ops-command.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-actions-"));
after(() => rmSync(folder, { recursive: true }));

const answers: Readonly<Record<string, object>> = {
  "/cache/clear": {
    objects: 1,
    memory: { chunks: 2, bytes: 2048 },
    disk: null,
    cachestore: { objects: 1, chunks: 9, failed: 0 },
  },
  "/cache/verify": {
    state: "complete",
    checked_chunks: 1,
    checked_bytes: 1024,
    total_bytes: 1024,
    bad_chunks: 0,
    skipped_chunks: 0,
    cursor: "",
    reason: "",
    last_finished: null,
    next: null,
    not_covered: [],
  },
  "/cache/warm": {
    id: "w1.x",
    source: "s3://m/a",
    dry_run: false,
    state: "complete",
    objects: 1,
    bytes: 1024,
    pass_bytes: 1024,
    pass_total_bytes: 1024,
    held: { chunks: 0, bytes: 0 },
    filled: { chunks: 1, bytes: 1024 },
    verified: { chunks: 1, bytes: 1024 },
    missing: { chunks: 0, bytes: 0 },
    unpinned: { chunks: 0, bytes: 0 },
    missing_chunks: [],
    reason: null,
  },
  "/cache/pins": {
    replica_id: "r1",
    chunks: 2,
    max_chunks: 9,
    bytes: 2048,
    max_bytes: 4096,
    objects: [{ url: "s3://m/k", chunks: 2, bytes: 2048, until: "2026-01-01T00:00:00.000Z" }],
    objects_left_off: 0,
  },
  "/cache/unpin": { state: "complete", replicas: 1, unanswered: 0, cachestore: null, reason: null },
  "/cache/purge": { state: "complete", replicas: 1, unanswered: 0, cachestore: null, reason: null },
  "/log-level": { level: "debug", configured: "info", until: "2026-01-01T00:10:00.000Z" },
  "/inspect": {
    bucket: "b",
    key: "k",
    origin: "o",
    size: 1,
    etag: "e",
    chunk_size: 1,
    chunks: 1,
    replicas: [],
  },
  "/explain": {
    bucket: "b",
    key: "k",
    origin: "o",
    replica_id: "r",
    first: 5,
    last: null,
    size: null,
    etag: null,
    metadata: { state: "unknown", origin_request: "HEAD", why: "w", coordinator: "r", error: null },
    ways: [],
    origin_now: [],
    silent: [],
  },
};

const stopSignal = (): Promise<string> => new Promise(() => {});

/** What a command asks of the replica at `--ops`, and what it printed. */
async function ask(context: TestContext, ...args: string[]) {
  const asked: string[] = [];
  const bodies: string[] = [];
  const ops = await serveOps(context, (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.on("data", (bytes: Buffer) => bodies.push(bytes.toString()));
    const answer = answers[request.url?.replace(/\?.*/, "") ?? ""];
    if (answer) response.end(`${JSON.stringify(answer)}\n`);
    else response.writeHead(403).end('{"error":"not today"}');
  });
  return { asked, bodies, ...(await runOrca([...args, "--ops", ops], { stopSignal })) };
}

test("orca doctor, config check: without FILE take the file that orca serve takes", async () => {
  const configFile = join(folder, "config.yaml");
  writeFileSync(configFile, "origin: { id: o, driver: file, file: { root: /srv } }\n");
  const checked = await runOrca(["config", "check"], { configFile });
  assert.equal(checked.exitCode, 0, checked.stderr);
  assert.ok(checked.stdout.startsWith(`${configFile} is valid`), checked.stdout);
  const examined = await runOrca(["doctor"], { configFile: join(folder, "absent.yaml") });
  assert.equal(examined.exitCode, 1);
  assert.match(examined.stdout, /^PROBLEM {2}configuration {2}cannot read the file: ENOENT.*absent\.yaml/);
});

test("orca status, cache stats, top: ask the replica at --ops, and its error is exit code 1", async (context) => {
  for (const [words, path] of [
    [["status"], "/cluster"],
    [["cache", "stats"], "/cache"],
    [["cache", "stats", "--cluster"], "/figures"],
    [["top", "--once"], "/figures"],
  ] as const) {
    const { asked, exitCode, stdout, stderr } = await ask(context, ...words);
    assert.deepEqual([asked, exitCode, stdout], [[`GET ${path}`], 1, ""]);
    assert.match(stderr, /^Cannot .*: not today\n$/);
  }
});

test("orca inspect: asks for the object, and --json prints the answer", async (context) => {
  const { asked, exitCode, stdout } = await ask(context, "inspect", "s3://b/k?1", "--json");
  assert.deepEqual([asked, exitCode], [["GET /inspect?bucket=b&key=k%3F1"], 0]);
  assert.equal(stdout, `${JSON.stringify(answers["/inspect"])}\n`);
});

test("orca explain: asks for the object and its range, and --json prints the answer", async (context) => {
  const { asked, exitCode, stdout } = await ask(context, "explain", "s3://b/k", "--range", "5-", "--json");
  assert.deepEqual([asked, exitCode], [["GET /explain?bucket=b&key=k&range=5-"], 0]);
  assert.equal(stdout, `${JSON.stringify(answers["/explain"])}\n`);
});

test("orca cache verify: --rate is bytes a second, and the progress is on stderr", async (context) => {
  const { asked, exitCode, stdout, stderr } = await ask(context, "cache", "verify", "--rate", "1MiB");
  assert.deepEqual([asked, exitCode], [["POST /cache/verify?bytes_per_second=1048576"], 0]);
  assert.match(stdout, /^Checked 1 chunk /);
  assert.match(stderr, /^The scrub runs in the background: .*\nverify +100% +1 KiB of 1 KiB/);
  assert.deepEqual((await ask(context, "cache", "verify", "--json")).asked, ["POST /cache/verify"]);
  const { stdout: help } = await runOrca(["help", "cache", "verify"]);
  assert.ok(help.includes(`[default: ${formatBytes(scrubBytesPerSecond).replace(" ", "")}]`));
});

test("orca cache clear: everything, or what --prefix and --cachestore say", async (context) => {
  const all = await ask(context, "cache", "clear");
  assert.deepEqual([all.asked, all.exitCode], [["POST /cache/clear"], 0]);
  assert.match(all.stdout, /^Cleared everything from this replica/);
  const some = await ask(context, "cache", "clear", "--prefix=m/a", "--cachestore");
  assert.deepEqual(some.asked, ["POST /cache/clear?prefix=m%2Fa&cachestore=true"]);
  const one = await ask(context, "cache", "clear", "--prefix=m/a", "--match=key");
  assert.deepEqual(one.asked, ["POST /cache/clear?prefix=m%2Fa&match=key"]);
  const url = await ask(context, "cache", "clear", "--prefix=s3://m/a");
  assert.deepEqual(url.asked, ["POST /cache/clear?prefix=m%2Fa"]);
  const { stdout: help } = await runOrca(["help", "cache", "clear"]);
  assert.match(help, /--match WHAT[^]*\[default:\s+prefix; /);
});

test("orca warm: a prefix, a manifest or an id, with a rate and without fetching", async (context) => {
  const all = await ask(context, "warm", "s3://m/a b/", "--rate", "2MiB");
  assert.deepEqual(
    [all.asked, all.exitCode],
    [["POST /cache/warm?prefix=m%2Fa+b%2F&bytes_per_second=2097152"], 0],
  );
  assert.match(all.stdout, /\nfetched +1 +1 KiB\nverified +1 +1 KiB\n[^]*Every chunk is held/);
  assert.deepEqual((await ask(context, "warm", "s3://m", "--dry-run")).asked, [
    "POST /cache/warm?prefix=m&dry_run=true",
  ]);
  const manifest = join(folder, "manifest");
  writeFileSync(manifest, "s3://m/k\n");
  const named = await ask(context, "warm", "--manifest", manifest, "--resume", "w1.x", "--json");
  assert.deepEqual(
    [named.asked, named.bodies],
    [["POST /cache/warm?manifest=true&resume=w1.x"], ["s3://m/k\n"]],
  );
  assert.equal(named.stdout, `${JSON.stringify(answers["/cache/warm"])}\n`);
  const followed = await ask(context, "warm", "--follow", "r u");
  assert.deepEqual([followed.asked, followed.exitCode], [["GET /cache/warm?run=r+u"], 0]);
  const cancelled = await ask(context, "warm", "--cancel", "r");
  assert.deepEqual([cancelled.asked, cancelled.exitCode], [["POST /cache/warm?cancel=r"], 0]);
  const continued = { replica_id: "r2", ops: "http://10.0.0.2:8442" };
  const moved = { ...answers["/cache/warm"], run_id: "r", state: "handed_on", continued };
  const ops = await serveOps(context, (_request, response) => response.end(`${JSON.stringify(moved)}\n`));
  const late = await runOrca(["warm", "--cancel", "r", "--ops", ops]);
  assert.equal(late.exitCode, 1, "it goes on elsewhere");
  assert.match(late.stderr, /orca warm --follow r --ops http:\/\/10\.0\.0\.2:8442\n$/);
  for (const [words, message] of [
    [[], "Cannot warm: expected either s3://BUCKET/PREFIX or --manifest FILE"],
    [["m/a"], 'Cannot warm "m/a": expected s3://BUCKET/PREFIX'],
    [["s3://m/a", "--manifest", manifest], "expected either"],
    [["s3://m/a", "--resume", "w1.x"], "leave the URL out"],
    [["--manifest", join(folder, "absent")], "ENOENT"],
    [["s3://m", "--rate", "fast"], "expected a size such as 100MiB"],
    [["s3://m", "--pin", "9000h"], "expected a time such as 24h"],
    [["s3://m", "--pin", "1h", "--dry-run"], "leave --pin out"],
    [["s3://m", "--follow", "r"], "leave all else out"],
    [["--follow", "r", "--cancel", "r"], "leave all else out"],
  ] as const) {
    const wrong = await ask(context, "warm", ...words);
    assert.deepEqual([wrong.asked, wrong.exitCode, wrong.stdout], [[], 2, ""]);
    assert.ok(wrong.stderr.includes(message), wrong.stderr);
  }
});

test("orca pins, orca unpin, orca warm --pin: ask for pins, show them, and release them", async (context) => {
  const warmed = await ask(context, "warm", "s3://m/a", "--pin", "24h");
  assert.deepEqual([warmed.asked, warmed.exitCode], [["POST /cache/warm?prefix=m%2Fa&pin_seconds=86400"], 0]);
  const shown = await ask(context, "pins");
  assert.deepEqual([shown.asked, shown.exitCode], [["GET /cache/pins"], 0]);
  assert.match(shown.stdout, /^Replica r1 pins 2 chunks, 2 KiB of at most 4 KiB\n/);
  assert.match(shown.stdout, /^s3:\/\/m\/k +2 +2 KiB +2026-01-01T00:00:00.000Z$/m);
  const all = await ask(context, "pins", "--cluster");
  assert.deepEqual([all.asked, all.exitCode], [["GET /cache/pins?cluster=true"], 1]);
  assert.match(all.stderr, /^Cannot show the pins at .*: the answer is not that of an Orca replica/);
  const released = await ask(context, "unpin", "s3://m/k", "--match=key");
  assert.deepEqual([released.asked, released.exitCode], [["POST /cache/unpin?prefix=m%2Fk&match=key"], 0]);
  assert.match(released.stdout, /^Unpinned s3:\/\/m\/k at 1 of 1 replica\n/);
});

test("orca purge: a prefix or a key, metadata alone, and the cachestore", async (context) => {
  const all = await ask(context, "purge", "s3://m/a b/");
  assert.deepEqual([all.asked, all.exitCode], [["POST /cache/purge?prefix=m%2Fa+b%2F"], 0]);
  assert.match(all.stdout, /^Purged s3:\/\/m\/a b\/ from 1 of 1 replica\n/);
  const others = await ask(context, "purge", "s3://m/k", "--match=key", "--stale", "--cachestore", "--json");
  assert.deepEqual(others.asked, ["POST /cache/purge?prefix=m%2Fk&match=key&stale=true&cachestore=true"]);
  const wrong = await ask(context, "purge", "m/k");
  assert.deepEqual([wrong.asked, wrong.exitCode], [[], 2]);
  assert.match(wrong.stderr, /Cannot purge "m\/k": expected s3:\/\/BUCKET\/PREFIX/);
});

test("orca log-level: prints the level, or changes it for the time of --for", async (context) => {
  const shown = await ask(context, "log-level");
  const line = "debug until 2026-01-01T00:10:00.000Z, then info\n";
  assert.deepEqual([shown.asked, shown.exitCode, shown.stdout], [["GET /log-level"], 0, line]);
  const changed = await ask(context, "log-level", "debug");
  assert.deepEqual([changed.asked, changed.stdout], [["POST /log-level?level=debug&seconds=600"], line]);
  const briefly = await ask(context, "log-level", "warn", "--for", "1m30s");
  assert.deepEqual(briefly.asked, ["POST /log-level?level=warn&seconds=90"]);
  const wrong = await ask(context, "log-level", "debug", "--for", "soon");
  assert.deepEqual([wrong.asked, wrong.exitCode], [[], 2]);
});

test("orca config: checks and prints FILE under the environment", async () => {
  const file = join(folder, "orca.yaml");
  writeFileSync(file, "origin: {id: o, driver: file, file: {root: /srv}}\n");
  const env = { ORCA_MEMORY_MAX_BYTES: "2GiB" };
  const check = await runOrca(["config", "check", file], { env });
  assert.deepEqual([check.exitCode, check.stderr], [0, ""]);
  assert.match(check.stdout, /is valid: .*memory 2 GiB/);
  const print = await runOrca(["config", "print", file, "--json"], { env });
  assert.equal((JSON.parse(print.stdout) as { memory: { max_bytes: string } }).memory.max_bytes, "2GiB");
  const fromEnv = await runOrca(["config", "print"], {
    env: { ...env, ORCA_ORIGIN_ID: "o", ORCA_ORIGIN_DRIVER: "file", ORCA_ORIGIN_FILE_ROOT: "/srv" },
  });
  assert.match(fromEnv.stdout, /max_bytes: 2GiB/);
});

function certs(...args: string[]) {
  return runOrca(["certs", "--server-name", "orca.internal", ...args]);
}

test("orca certs: writes a pair for each --replica, and reports what it cannot write", async () => {
  const out = join(folder, "tls");
  const written = await certs("--out", out, "--replica", "a", "b", "--replica", "c", "--host", "h.example");
  assert.deepEqual([written.exitCode, written.stderr], [0, ""]);
  assert.match(written.stdout, /valid for orca\.internal, localhost, 127\.0\.0\.1, h\.example\./);
  assert.deepEqual(
    readdirSync(out).sort(),
    ["a", "b", "c", "ca"].flatMap((name) => [`${name}.crt`, `${name}.key`]),
  );
  const again = await certs("--out", out, "--replica", "a");
  assert.equal(again.exitCode, 2);
  assert.match(again.stderr, /a\.crt, a\.key in ".*" would be overwritten\. .* See: orca certs --help\n$/);
  const inFile = join(out, "ca.crt", "deeper");
  const failed = await certs("--out", inFile, "--replica", "d");
  assert.equal(failed.exitCode, 2);
  assert.match(
    failed.stderr,
    /^orca: Cannot write to --out ".*deeper": ENOTDIR: .* See: orca certs --help\n$/,
  );
  assert.equal(existsSync(inFile), false);
});
