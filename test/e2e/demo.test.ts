/** `npm run demo` as a person starts it. Not in test:threads: its replicas have the settings that the demo writes. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { run, TestProcess } from "../support/process.ts";
import { until } from "../support/until.ts";

const main = join(import.meta.dirname, "../../src/main.ts");
const demoMain = join(import.meta.dirname, "../../deploy/demo/main.ts");

let folder: string;
let demo: TestProcess;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "orca-e2e-"));
  const env = { ...process.env, TMPDIR: folder };
  demo = new TestProcess("demo", process.execPath, [demoMain], { env });
});
afterEach(async () => {
  await demo.stop();
  await until(() => readdirSync(folder).length === 0);
  rmSync(folder, { recursive: true });
});

async function answers(address: string): Promise<boolean> {
  return fetch(`http://${address}/healthz`).then(
    () => true,
    () => false,
  );
}

async function noneAnswers(addresses: readonly string[]): Promise<boolean> {
  return !(await Promise.all(addresses.map(answers))).includes(true);
}

/** The addresses of the replicas by their configurations. */
function listening(name: "listen" | "ops_listen"): string[] {
  const place = join(folder, readdirSync(folder)[0] ?? "");
  return ["r1", "r2", "r3"].map((id) => {
    const [, address = ""] =
      new RegExp(`^  ${name}: (\\S+)$`, "m").exec(readFileSync(join(place, `${id}.yaml`), "utf8")) ?? [];
    return address;
  });
}

test("demo: a herd costs one GET for each chunk and no HEAD, a killed replica no client an error", async () => {
  await demo.line(/Ctrl-C stops it/);
  const rows = demo.output.filter((line) => /equal|WRONG/.test(line)).map((line) => line.split(/ {2,}/));
  const [cold, warm, bereft] = rows.map(([, , , , , heads, gets, sha256]) => ({ heads, gets, sha256 }));
  assert.deepEqual(cold, { heads: "0", gets: "16", sha256: "30 equal" });
  assert.deepEqual(warm, { heads: "0", gets: "0", sha256: "30 equal" });
  // How many were in flight at the replica that was killed is chance.
  const gets = Number(bereft?.gets);
  assert.ok(gets >= 128 && gets < 192, `${gets} GETs for 128 chunks`);
  assert.deepEqual(bereft, { heads: "0", gets: `${gets}`, sha256: "4 equal" });

  for (const address of listening("listen")) {
    const response = await fetch(`http://${address}/demo/medium.bin`, { method: "HEAD" });
    assert.equal(response.headers.get("content-length"), `${16 * 1024 * 1024}`);
  }
  const ops = listening("ops_listen");
  const status = await run(process.execPath, [main, "status", "--ops", `http://${ops[2]}`]);
  assert.match(status, /^Replica r3 at \S+ answers \(serving\): 3 live of 3 members in its view$/m);

  demo.signal("SIGINT");
  assert.equal(await demo.exited, 0);
  assert.ok(await noneAnswers(ops));
  assert.deepEqual(readdirSync(folder), []);
});

test("demo: Ctrl-C ends it wherever it is, and nothing of it is left", async () => {
  await demo.line(/Starting Azurite/);
  demo.signal("SIGINT");
  assert.equal(await demo.exited, 0);
  assert.doesNotMatch(demo.output.join("\n"), /SHA-256/, "the reads were not waited for");
  assert.deepEqual(readdirSync(folder), []);
});

test("demo: Ctrl-C while clients read ends it without a word of failure", async () => {
  await demo.line(/seed large/);
  demo.signal("SIGINT");
  assert.equal(await demo.exited, 0);
  assert.doesNotMatch(demo.output.join("\n"), /WRONG|bug/);
  assert.deepEqual(readdirSync(folder), []);
});

test("demo: kill -9 ends its replicas too, and they remove what it made", async () => {
  await demo.line(/cold medium/);
  const ops = listening("ops_listen");
  assert.deepEqual(await Promise.all(ops.map(answers)), [true, true, true]);
  await demo.stop("SIGKILL");
  await until(() => noneAnswers(ops));
  await until(() => readdirSync(folder).length === 0);
});
