import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { DiskRoot } from "../../../src/store/disk/disk-root.ts";
import { TestProcess } from "../../support/process.ts";
import { openTier } from "./disk-fixture.ts";

const holderPath = fileURLToPath(new URL("./disk-holder.ts", import.meta.url));

function withRoot(name: string, body: (root: string) => Promise<void> | void): void {
  test(name, async () => {
    const root = mkdtempSync(join(tmpdir(), "orca-root-"));
    try {
      await body(root);
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  });
}

function refusal(root: string, replicaId?: string): OrcaError {
  try {
    DiskRoot.open(root, replicaId).close();
  } catch (error) {
    assert.ok(error instanceof OrcaError);
    assert.equal(error.code, "config_invalid");
    return error;
  }
  assert.fail("the root is refused");
}

withRoot("DiskRoot: a generated id stays", (root) => {
  const first = DiskRoot.open(root);
  assert.match(first.replicaId, /^[0-9a-f]{16}$/);
  assert.equal(first.directory, join(root, "orca-disk.v1", first.replicaId));
  assert.ok(existsSync(first.stagingDirectory));
  first.close();
  const second = DiskRoot.open(root);
  assert.equal(second.replicaId, first.replicaId);
  second.close();
  assert.deepEqual(
    readdirSync(join(root, "orca-disk.v1")).sort(),
    [first.replicaId, "lock", "replica-id"].sort(),
  );
});

withRoot("DiskRoot: a new id keeps the chunks", (root) => {
  const first = DiskRoot.open(root, "replica-a");
  writeFileSync(join(first.directory, "chunk"), "bytes");
  first.close();
  const second = DiskRoot.open(root, "replica-b");
  assert.equal(readFileSync(join(second.directory, "chunk"), "utf8"), "bytes");
  assert.ok(!existsSync(first.directory));
  second.close();
  const third = DiskRoot.open(root);
  assert.equal(third.replicaId, "replica-b");
  third.close();
});

withRoot("DiskRoot: an id that is no valid name of a directory is an error", (root) => {
  for (const id of ["", ".", "..", "a/b", "lock", "replica-id", "a\0b", "x".repeat(129)]) {
    assert.match(refusal(root, id).message, /^Cannot use replica id /);
  }
});

withRoot("DiskRoot: a root that cannot be created is an error", (root) => {
  writeFileSync(join(root, "file"), "");
  assert.match(
    refusal(join(root, "file")).message,
    /^Cannot open disk root .*ENOTDIR.*\. Set disk\.root to a directory that Orca's user can make and write to$/,
  );
});

withRoot("DiskRoot: a root that another user made is an error, with what to do", async (root) => {
  const { directory } = DiskRoot.open(root).orClose((first) => {
    first.close();
    return first;
  });
  // Everybody may look, and nobody but root may write.
  const parts = [root, join(directory, ".."), directory, join(directory, "staging")];
  for (const part of parts) chmodSync(part, 0o555);
  const isRoot = process.getuid?.() === 0;
  const holder = new TestProcess("holder", process.execPath, [
    holderPath,
    root,
    ...(isRoot ? ["65534"] : []),
  ]);
  try {
    const [, , reason] = await holder.line(/^(held|refused: (.*))$/);
    assert.match(
      String(reason),
      /^Cannot open disk root .*EACCES.*\. Give it to Orca's user with all that is in it, or set disk\.root to another directory$/,
    );
  } finally {
    await holder.stop();
    for (const part of parts) chmodSync(part, 0o755);
  }
});

withRoot("DiskRoot: a second one in the same process is an error", (root) => {
  const first = DiskRoot.open(root);
  assert.match(refusal(root).message, new RegExp(`process ${process.pid} uses it`));
  assert.match(refusal(root).message, /uses it/);
  first.close();
  DiskRoot.open(root).close();
});

withRoot("DiskTier.open: if its thread cannot start, the root is free again", (root) => {
  // The module of a thread must be a file.
  const threadModule = new URL("https://localhost/thread.ts");
  assert.throws(() => openTier(root, { threadModule }), { code: "ERR_INVALID_URL_SCHEME" });
  DiskRoot.open(root).close();
});

withRoot(
  "DiskRoot: the error of a second process names the pid of the first, and after kill -9 it opens the root",
  async (root) => {
    const holder = new TestProcess("holder", process.execPath, [holderPath, root]);
    try {
      await holder.line(/^held$/);
      assert.match(refusal(root).message, new RegExp(`"${root}": process ${holder.pid} uses it`));
      await holder.stop("SIGKILL");
      DiskRoot.open(root).close();
    } finally {
      await holder.stop();
    }
  },
);

withRoot("DiskRoot: of many processes that start at once, exactly one wins", async (root) => {
  const contenders = Array.from(
    { length: 4 },
    () => new TestProcess("contender", process.execPath, [holderPath, root]),
  );
  try {
    const outcomes = await Promise.all(contenders.map((contender) => contender.line(/^(held|refused)/)));
    assert.equal(outcomes.filter(([, outcome]) => outcome === "held").length, 1);
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()));
  }
});

test("DiskRoot: a root below /proc, which takes no directories, is rejected at once", () => {
  assert.throws(() => DiskRoot.open("/proc/orca-no-such-directory/cache"), { code: "config_invalid" });
});
