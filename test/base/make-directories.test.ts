import assert from "node:assert/strict";
import fs, { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeDirectories } from "../../src/base/make-directories.ts";

test("makeDirectories: missing parents are made, and a second call changes nothing", () => {
  const folder = mkdtempSync(join(tmpdir(), "orca-directories-"));
  for (let round = 0; round < 2; round += 1) makeDirectories(fs, join(folder, "a/b/c"));
  assert.ok(existsSync(join(folder, "a/b/c")));
  rmSync(folder, { recursive: true });
});

test("makeDirectories: below a directory that takes none it ends with the error, after a few calls", () => {
  let calls = 0;
  const mkdirSync = ((path: string) => {
    calls += 1;
    assert.ok(calls < 100, "it does not try again and again");
    throw Object.assign(new Error(path), { code: path === "/proc" ? "EEXIST" : "ENOENT" });
  }) as typeof fs.mkdirSync;
  assert.throws(() => makeDirectories({ mkdirSync }, "/proc/x/y/z"), { message: "/proc/x" });
});
