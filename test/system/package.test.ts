/**
 * The package at work: the reads of the demo go through three replicas that run from it, one of which is killed; and it
 * serves on Node 24, the oldest that it is for.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { demo } from "../../deploy/demo/demo-command.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { httpGet } from "../support/http-get.ts";
import { type InstalledOrca, installOrca } from "../support/installed-orca.ts";
import { patternBytes } from "../support/pattern.ts";
import { endProcesses, run } from "../support/process.ts";
import { until } from "../support/until.ts";
import { testWith } from "./installed.ts";

const cache = join(import.meta.dirname, "../../node_modules/.cache/node-24/node_modules");
const node24 = join(cache, `node-linux-${process.arch}/bin/node`);
const installations: InstalledOrca[] = [];

async function install(node?: string): Promise<InstalledOrca> {
  const installed = await installOrca(node === undefined ? {} : { node });
  installations.push(installed);
  return installed;
}

afterEach(endProcesses);
after(() => {
  for (const { remove } of installations) remove();
});

test("package: the demo's clients read the same bytes through replicas that run from it", async () => {
  const { packageRoot } = await install();
  const { promise: stopAsked, resolve: stop } = Promise.withResolvers<string>();
  let text = "";
  const exitCode = await demo({
    clock: new SystemClock(),
    env: process.env,
    execPath: process.execPath,
    mainPath: join(packageRoot, "lib/orca.js"),
    stdout: {
      write: (part) => {
        text += part;
        if (text.includes("Ctrl-C stops it")) stop("the end of the test");
      },
    },
    stopAsked,
  });
  assert.equal(exitCode, 0, text);
  const rows = text.split("\n").filter((line) => /equal|WRONG/.test(line));
  assert.deepEqual(
    rows.map((row) => row.split(/ {2,}/).at(-1)),
    ["30 equal", "30 equal", "4 equal"],
  );
});

testWith(
  {
    name: "Node 24",
    isInstalled: () => existsSync(node24),
    install: `npm install --prefix node_modules/.cache/node-24 --no-save node-linux-${process.arch}@24.22.3`,
    isInstalledByCi: true,
  },
  "package: serves from memory, disk and a mount on Node 24",
  async () => {
    assert.match(await run(node24, ["--version"]), /^v24\./);
    const installed = await install(node24);
    const { folder } = installed;
    for (const name of ["origin", "mount"]) mkdirSync(join(folder, name));
    const content = patternBytes(3, 0, 3_000_000);
    const right = createHash("sha256").update(content).digest("hex");
    writeFileSync(join(folder, "origin/weights.bin"), content);
    const file = join(folder, "orca.yaml");
    writeFileSync(
      file,
      `server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" }
origin: { id: files, driver: file, file: { root: ${join(folder, "origin")} }, buckets: { models: {} } }
chunking: { size: 1MiB }
disk: { root: ${join(folder, "disk")}, max_bytes: 1GiB }
cachestore: { driver: posixfs, posixfs: { root: ${join(folder, "mount")} } }
`,
    );
    for (const source of ["origin", "disk"]) {
      const child = installed.start("orca", "serve", "--config", file);
      const [, s3 = "", ops = ""] = await child.line(/"s3":"([^"]+)","ops":"([^"]+)"/);
      assert.equal(readFileSync(`/proc/${child.pid}/cmdline`, "utf8").split("\0")[0], "node");
      const response = await httpGet(`${s3}/models/weights.bin`);
      const digest = createHash("sha256")
        .update(Buffer.from(await response.arrayBuffer()))
        .digest("hex");
      assert.equal(digest, right);
      assert.match(response.headers.get("cache-status") ?? "", new RegExp(`detail=${source}`));
      if (source === "origin") {
        await until(async () =>
          /^orca_commits_total 3$/m.test(await (await httpGet(`${ops}/metrics`)).text()),
        );
      }
      child.signal("SIGTERM");
      assert.equal(await child.exited, 0, child.output.join("\n"));
    }
  },
);
