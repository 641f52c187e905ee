/** `orca profile` of a replica that serves: what it writes is what Chrome DevTools loads, and only the token opens it. */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { withOps } from "../../src/cli/ops-call.ts";
import { type ProfileOptions, profile } from "../../src/cli/profile/profile-command.ts";
import { type ReplicaFixture, startReplica } from "../support/replica-fixture.ts";

let fixture: ReplicaFixture | undefined;
let folder = "";
let tokenFile = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "orca-profile-"));
  tokenFile = join(folder, "token");
  writeFileSync(tokenFile, "secret-of-operators", { mode: 0o600 });
});

afterEach(async () => {
  await fixture?.stop();
  fixture = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function run({ opsEndpoint }: ReplicaFixture, options: Partial<ProfileOptions> = {}) {
  let [stdout, stderr] = ["", ""];
  const exitCode = await profile({
    kind: "cpu",
    forMs: 1000,
    folder: join(folder, "out"),
    ops: opsEndpoint,
    opsTokenFile: tokenFile,
    json: false,
    clock: new SystemClock(),
    stdout: { write: (text) => void (stdout += text) },
    stderr: { write: (text) => void (stderr += text) },
    ...options,
  });
  return { exitCode, stdout, stderr };
}

interface Node {
  readonly callFrame: { readonly functionName: string };
  readonly children?: readonly Node[];
}

test("orca profile: the CPU and the heap of a replica, in files that DevTools loads; one at a time", async () => {
  fixture = await startReplica({ settings: { server: { ops_token_file: tokenFile } } });
  const replica = fixture;
  const recording = Promise.withResolvers<void>();
  let printed = "";
  const write = (text: string): void => {
    printed += text;
    recording.resolve();
  };
  const taking = run(replica, { stderr: { write } });
  await recording.promise;
  const second = await run(replica, { folder: join(folder, "other") });
  assert.equal(second.exitCode, 1);
  assert.match(second.stderr, /another one is being taken/);
  assert.ok(!existsSync(join(folder, "other")));
  const { exitCode, stdout } = await taking;
  assert.deepEqual([exitCode, printed], [0, "Recording for 1 s\n"]);
  assert.match(stdout, /^thread +busy +share +mostly in\nmain +\d+% +\d+%/);
  assert.match(
    stdout,
    /\n\nWrote \d+ profiles? \(.*\) into .*out\. Load each in the tab Performance of Chrome DevTools\.\n$/,
  );
  const file = join(folder, "out", "main.cpuprofile");
  const cpu = JSON.parse(readFileSync(file, "utf8")) as {
    nodes: Node[];
    samples: number[];
    timeDeltas: number[];
    startTime: number;
    endTime: number;
  };
  assert.equal(cpu.samples.length, cpu.timeDeltas.length);
  assert.ok(cpu.samples.length > 10);
  assert.ok(cpu.endTime - cpu.startTime >= 900_000, "microseconds");
  assert.ok(cpu.nodes.some(({ callFrame }) => callFrame.functionName === "(idle)"));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, "out")).mode & 0o777, 0o700);
  const held: object[] = [];
  const taken = run(replica, { kind: "heap", thread: "main", folder: join(folder, "heap"), json: true });
  // The replica is of this process: what a test holds is in its profile.
  const filling = setInterval(() => {
    for (let count = 0; count < 10_000; count += 1) held.push({ count, text: `text ${count}` });
  }, 50);
  const heap = await taken.finally(() => clearInterval(filling));
  assert.equal(heap.exitCode, 0, heap.stderr);
  const heapFile = join(folder, "heap", "main.heapprofile");
  assert.deepEqual(JSON.parse(heap.stdout), {
    folder: join(folder, "heap"),
    kind: "heap",
    seconds: 1,
    threads: [{ thread: "main", file: heapFile, bytes: statSync(heapFile).size }],
  });
  const { head } = JSON.parse(readFileSync(heapFile, "utf8")) as { head: Node };
  assert.equal(head.callFrame.functionName, "(root)");
  assert.ok((head.children ?? []).length > 0);
});

test("orca profile: each thread that serves clients has a file, and one of them can be asked for alone", async () => {
  fixture = await startReplica({ settings: { server: { ops_token_file: tokenFile, threads: 2 } } });
  const { exitCode, stdout, stderr } = await run(fixture);
  assert.deepEqual([exitCode, stderr], [0, "Recording for 1 s\n"]);
  const files = readdirSync(join(folder, "out"));
  for (const thread of ["main", "orca-edge-1", "orca-edge-2"]) {
    assert.ok(files.includes(`${thread}.cpuprofile`), files.join());
    assert.match(stdout, new RegExp(`^${thread} +\\d+% `, "m"));
  }
  const alone = await run(fixture, { kind: "heap", thread: "2", folder: join(folder, "alone") });
  assert.equal(alone.exitCode, 0, alone.stderr);
  assert.deepEqual(readdirSync(join(folder, "alone")), ["orca-edge-2.heapprofile"]);
  const { head } = JSON.parse(readFileSync(join(folder, "alone", "orca-edge-2.heapprofile"), "utf8")) as {
    head: Node;
  };
  assert.equal(head.callFrame.functionName, "(root)");
  const unknown = await run(fixture, { thread: "3", folder: join(folder, "third") });
  assert.equal(unknown.exitCode, 1);
  assert.match(unknown.stderr, /there is no thread "3", expected one of main, orca-edge-1, orca-edge-2/);
  assert.ok(!existsSync(join(folder, "third")));
});

test("orca profile: without the token nobody gets one, and a folder that is there stays", async () => {
  fixture = await startReplica({ settings: { server: { ops_token_file: tokenFile } } });
  const wrong = join(folder, "wrong");
  writeFileSync(wrong, "guess");
  const denied = await run(fixture, { opsTokenFile: wrong });
  assert.equal(denied.exitCode, 1);
  assert.match(denied.stderr, /this needs the token of server\.ops_token_file/);
  assert.ok(!existsSync(join(folder, "out")));
  const post = (query: string) =>
    fetch(`${(fixture as ReplicaFixture).opsEndpoint}/profile?${query}`, {
      method: "POST",
      headers: { "x-orca-action": "profile", authorization: "Bearer secret-of-operators" },
    });
  for (const query of [
    "kind=cpu&seconds=61",
    "kind=cpu&seconds=0",
    "kind=dump&seconds=1",
    "kind=cpu&seconds=1&x=1",
  ])
    assert.equal((await post(query)).status, 400, query);
  const there = join(folder, "there");
  mkdirSync(there);
  writeFileSync(join(there, "file"), "mine");
  await assert.rejects(
    run(fixture, { folder: there }),
    /Cannot write ".*there": it exists\. Give another --out/,
  );
  assert.equal(readFileSync(join(there, "file"), "utf8"), "mine");
});

test("orca profile: a replica without a token takes none; a client that leaves ends the profile", async () => {
  fixture = await startReplica();
  const open = await run(fixture);
  assert.equal(open.exitCode, 1);
  assert.match(open.stderr, /profiles need a token: set server\.ops_token_file/);
  await fixture.stop();
  fixture = await startReplica({ settings: { server: { ops_token_file: tokenFile } } });
  const endMs = performance.now() + 30_000;
  const late = await run(fixture, { forMs: 60_000, timeoutMs: 300 });
  assert.equal(late.exitCode, 1);
  assert.match(late.stderr, /no answer within 300 ms/);
  let next = await run(fixture);
  while (next.exitCode !== 0 && performance.now() < endMs) next = await run(fixture);
  assert.equal(next.exitCode, 0, next.stderr);
});

test("orca profile: a folder that cannot be made is named before anything is recorded", async () => {
  fixture = await startReplica({ settings: { server: { ops_token_file: tokenFile } } });
  const out = join(folder, "no-such-folder", "out");
  const startMs = performance.now();
  await assert.rejects(
    run(fixture, { folder: out, forMs: 60_000 }),
    (thrown: OrcaError) =>
      thrown.code === "invalid_argument" && /^Cannot write ".*out": .*ENOENT/.test(thrown.message),
  );
  assert.ok(performance.now() - startMs < 30_000);
});

test("withOps: an error about something else than the replica stays what it is", async () => {
  const written = { stdout: "", stderr: "" };
  const options = {
    ops: "http://127.0.0.1:1",
    json: false,
    clock: new SystemClock(),
    stdout: { write: (text: string) => void (written.stdout += text) },
    stderr: { write: (text: string) => void (written.stderr += text) },
  };
  const full = new OrcaError("invalid_argument", "config", 'Cannot write "x": ENOSPC');
  const asked = withOps("profile the replica at", { path: "/profile" }, options, () => Promise.reject(full));
  await assert.rejects(asked, full);
  assert.deepEqual(written, { stdout: "", stderr: "" });
});
