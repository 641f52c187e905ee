/** A directory whose directories are buckets, for `origin.buckets: {"*"}` of a file origin. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { FileOrigin } from "../../src/origin/file-origin.ts";
import { firstKeyOnly } from "../../src/origin/origin.ts";
import { rejectsWith } from "../support/rejects-with.ts";

/** `parent/` with the buckets `models` and `linked`, and `outside/` beside it. */
function start(context: TestContext): FileOrigin {
  const folder = mkdtempSync(join(tmpdir(), "orca-directories-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const parent = join(folder, "parent");
  mkdirSync(join(parent, "models", "deep"), { recursive: true });
  mkdirSync(join(folder, "outside"));
  for (const path of ["parent/file", "parent/models/a", "parent/models/deep/b", "outside/secret"])
    writeFileSync(join(folder, path), path);
  symlinkSync(join(parent, "models"), join(parent, "linked"));
  symlinkSync(join(folder, "outside"), join(parent, "leads-out"));
  symlinkSync(join(folder, "outside", "secret"), join(parent, "models", "leads-out"));
  symlinkSync(join(folder, "gone"), join(parent, "leads-nowhere"));
  return new FileOrigin({ id: "f", roots: { parent }, clock: new SystemClock() });
}

const never = new AbortController().signal;

test("FileOrigin over a parent: each directory in it is a bucket, and nothing else is", async (context) => {
  const origin = start(context);
  const listed = await origin.listBuckets(undefined, never);
  assert.deepEqual(listed.map(({ name }) => name).toSorted(), ["linked", "models"]);
  for (const bucket of ["models", "linked"]) {
    await origin.look({ bucket });
    assert.equal(
      (await origin.head({ bucket, key: "deep/b" }, never))?.sizeBytes,
      "parent/models/deep/b".length,
    );
    assert.equal(await origin.head({ bucket, key: "absent" }, never), null);
    const { objects } = await origin.list({ ...firstKeyOnly, bucket, prefix: "" }, never);
    assert.deepEqual(
      objects.map(({ key }) => key),
      ["a"],
    );
  }
});

test("FileOrigin over a parent: no name leads out of it", async (context) => {
  const origin = start(context);
  for (const bucket of [
    "file",
    "leads-out",
    "leads-nowhere",
    "absent",
    "..",
    ".",
    "",
    "../outside",
    "models/deep",
    "a\0b",
  ]) {
    await rejectsWith("no_such_bucket", origin.look({ bucket }));
    await rejectsWith("no_such_bucket", origin.head({ bucket, key: "secret" }, never));
    await rejectsWith("no_such_bucket", origin.list({ ...firstKeyOnly, bucket, prefix: "" }, never));
  }
  assert.equal(await origin.head({ bucket: "models", key: "leads-out" }, never), null);
});

test("FileOrigin over a parent: a parent that is gone is no_such_bucket", async () => {
  const origin = new FileOrigin({
    id: "f",
    roots: { parent: "/no/such/directory" },
    clock: new SystemClock(),
  });
  await rejectsWith("no_such_bucket", origin.listBuckets(undefined, never));
  await rejectsWith("no_such_bucket", origin.look({ bucket: "models" }));
});
