import assert from "node:assert/strict";
import fs, { copyFileSync, existsSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkCachestoreDirectory } from "../../../src/store/chunk-file/cachestore-directory.ts";
import type { JobFileSystem } from "../../../src/store/disk/job-file-system.ts";
import { rejectsWith } from "../../support/rejects-with.ts";
import { PosixFixture, readAll } from "../cachestore/posix/posix-fixture.ts";
import { keyOf } from "../disk/disk-fixture.ts";

function criterion(title: string, body: (fixture: PosixFixture) => Promise<void> | void): void {
  test(`checkCachestoreDirectory: ${title}`, async () => {
    const fixture = new PosixFixture();
    try {
      await body(fixture);
    } finally {
      await fixture.close();
    }
  });
}

criterion("a directory with links is prepared, and no file of the self-test stays", (fixture) => {
  assert.deepEqual(checkCachestoreDirectory(fs, fixture.root), { outcome: "checked", stagedFilesRemoved: 0 });
  assert.deepEqual(fixture.files(), []);
  assert.ok(existsSync(fixture.staging));
});

criterion("staged files older than an hour are swept, those of living writers are not", async (fixture) => {
  const first = await fixture.open();
  await fixture.put(first, keyOf("k", 1000));
  for (const [name, ageSeconds] of [
    ["dead", 3700],
    ["living", 3500],
  ] as const) {
    const path = join(fixture.staging, name);
    writeFileSync(path, "half a chunk");
    const wroteAt = Date.now() / 1000 - ageSeconds;
    utimesSync(path, wroteAt, wroteAt);
  }
  const second = await fixture.open();
  assert.equal(second.stats.stagedFilesRemoved, 1);
  assert.deepEqual(
    fixture.files().sort(),
    [fixture.pathOf(keyOf("k", 1000)), join(fixture.staging, "living")].sort(),
  );
  assert.ok(await readAll(second, keyOf("k", 1000)));
});

criterion("a missing root is an error, and is not created", async (fixture) => {
  rmSync(fixture.root, { recursive: true });
  const error = await rejectsWith("config_invalid", fixture.unchecked().check());
  assert.equal(error.message, `Cannot use "${fixture.root}" as a cachestore: cannot look at it: ENOENT`);
  assert.equal(existsSync(fixture.root), false);
});

criterion("a root that is a file is an error", async (fixture) => {
  const root = join(fixture.root, "file");
  writeFileSync(root, "");
  const error = await rejectsWith("config_invalid", fixture.unchecked({ root }).check());
  assert.match(error.message, /it is no directory$/);
});

function failing(call: keyof JobFileSystem, code: string): JobFileSystem {
  const fail = (): never => {
    throw Object.assign(new Error(`injected ${code}`), { code });
  };
  return { ...fs, [call]: fail };
}

for (const [call, code, reason] of [
  ["mkdirSync", "EACCES", "cannot make directories in it: EACCES"],
  ["openSync", "EROFS", "cannot write a file: EROFS"],
  ["writevSync", "ENOSPC", "cannot write a file: ENOSPC"],
  ["fsyncSync", "EIO", "cannot write a file: EIO"],
  ["linkSync", "EPERM", "cannot link a file: EPERM"],
  ["readFileSync", "EIO", "cannot read a file: EIO"],
  ["unlinkSync", "EACCES", "cannot unlink a file: EACCES"],
  ["readdirSync", "EACCES", "cannot sweep the staging directory: EACCES"],
] as const) {
  criterion(`${code} at ${call} is the reason`, (fixture) => {
    assert.deepEqual(checkCachestoreDirectory(failing(call, code), fixture.root), {
      outcome: "unfit",
      reason,
    });
  });
}

criterion("a file system whose link() replaces files is unfit", (fixture) => {
  const clobbering: JobFileSystem = { ...fs, linkSync: (from, to) => copyFileSync(from, to) };
  assert.deepEqual(checkCachestoreDirectory(clobbering, fixture.root), {
    outcome: "unfit",
    reason: "cannot link a second file to a name that is taken: it was not refused",
  });
  assert.deepEqual(fixture.files(), []);
});

criterion("a file system that reads other bytes than were written is unfit", (fixture) => {
  const forgetful = { ...fs, readFileSync: () => Buffer.from("other") } as unknown as JobFileSystem;
  assert.deepEqual(checkCachestoreDirectory(forgetful, fixture.root), {
    outcome: "unfit",
    reason: "cannot read a file: it holds other bytes",
  });
});
