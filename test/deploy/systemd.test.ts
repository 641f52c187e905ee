/** The unit of systemd: it says what systemd understands, confines Orca, and waits as long as a stop may take. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import { findOnPath, run } from "../support/process.ts";

const deploy = join(import.meta.dirname, "../../deploy/systemd");
const unit = readFileSync(join(deploy, "orca.service"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "orca-systemd-"));
after(() => rmSync(folder, { recursive: true }));

const skip =
  findOnPath("systemd-analyze") === undefined && "skipped: systemd-analyze is not installed (systemd)";

/** The unit with a command that is installed here, which the checks ask for. */
const file = join(folder, "orca.service");
writeFileSync(file, unit.replace("/usr/local/bin/orca", process.execPath));

function valueOf(name: string): string | undefined {
  return new RegExp(`^${name}=(.*)$`, "m").exec(unit)?.[1];
}

test("orca.service: systemd finds no fault in it", { skip }, async () => {
  // It exits with 0 in spite of a setting that it does not know, and prints that.
  assert.equal(await run("/bin/sh", ["-c", 'systemd-analyze verify "$0" 2>&1', file]), "");
});

test("orca.service: its exposure is at most 1.6 of 10", { skip }, async () => {
  // The limit is in tenths. It exits with 1 above it.
  await run("systemd-analyze", ["security", "--offline=true", "--no-pager", "--threshold=16", file]);
});

test("orca.service: systemd waits for the slowest stop that the defaults allow, and 10 s more", () => {
  const { server } = loadConfig({ file: join(deploy, "config.yaml"), env: {} });
  const writeMs = Math.max(server.drainTimeoutMs, 30_000);
  assert.equal(Number(valueOf("TimeoutStopSec")), (server.drainTimeoutMs + writeMs) / 1000 + 10);
});

test("orca.service: the example's disk tier is the directory that systemd makes for it", () => {
  const { disk } = loadConfig({ file: join(deploy, "config.yaml"), env: {} });
  assert.equal(disk?.root, `/var/cache/${valueOf("CacheDirectory")}`);
  assert.match(valueOf("Environment") ?? "", new RegExp(`=/var/lib/${valueOf("StateDirectory")}/`));
});
