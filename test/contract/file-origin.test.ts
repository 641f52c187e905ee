/** The directory driver, and what only a directory has: a world outside of it. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, suite, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { FileOrigin } from "../../src/origin/file-origin.ts";
import { originContract } from "./origin.ts";
import type { OriginFixture, OriginTraits } from "./origin-fixture.ts";

/** A directory keeps nothing beside the bytes, and has no empty names. */
const fileTraits: OriginTraits = {
  storedHeaders: [],
  oddKeys: ["back\\slash", "tab\tnewline\n"],
  ordersByUtf8: true,
  isRemote: false,
};

interface FileFixture extends OriginFixture {
  readonly directory: string;
}

async function openFileFixture(): Promise<FileFixture> {
  const bucket = "contract";
  const directory = await mkdtemp(join(tmpdir(), "orca-file-origin-"));
  const root = join(directory, "root");
  await mkdir(root);
  const origin = new FileOrigin({
    id: "contract-file",
    roots: new Map([[bucket, root]]),
    clock: new SystemClock(),
  });
  return {
    origin,
    bucket,
    directory,
    put: async (key, body) => {
      const path = join(root, key);
      const aside = join(directory, "aside");
      await mkdir(dirname(path), { recursive: true });
      await writeFile(aside, body);
      await rename(aside, path);
    },
    delete: (key) => rm(join(root, key)),
    close: async () => {
      origin.close();
      await rm(directory, { recursive: true });
    },
  };
}

originContract("FileOrigin on a directory", fileTraits, openFileFixture);

suite("FileOrigin on a directory, beyond the contract", () => {
  let fixture: FileFixture;
  before(async () => {
    fixture = await openFileFixture();
    await fixture.put("inside/file", Buffer.from("inside"), {});
    await writeFile(join(fixture.directory, "secret"), "outside");
    await symlink(join(fixture.directory, "secret"), join(fixture.directory, "root", "link"));
  });
  after(() => fixture.close());

  for (const key of [
    "../secret",
    "inside/../../secret",
    "link",
    "/inside/file",
    "inside//file",
    "inside",
    "inside/",
  ]) {
    test(`head: the key "${key}" leads out of the root or to no file, and is a missing key`, async () => {
      const { origin, bucket } = fixture;
      assert.equal(await origin.head({ bucket, key }, new AbortController().signal), null);
    });
  }

  test("list: what leads out of the root is not listed", async () => {
    const { origin, bucket } = fixture;
    const request = {
      bucket,
      prefix: "",
      delimiter: "",
      maxKeys: 1000,
      continuationToken: "",
      startAfter: "",
    };
    const page = await origin.list(request, new AbortController().signal);
    assert.deepEqual(
      page.objects.map(({ key }) => key),
      ["inside/file"],
    );
  });
});
