/** Copies of a directory's answers in other threads, and what ends them. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { defaultChunkTiers } from "../../../src/chunk/chunk-layout.ts";
import { Directory } from "../../../src/object/directory.ts";
import { Revocations } from "../../../src/object/freshness/revocations.ts";
import { OriginHeads } from "../../../src/object/heads/origin-heads.ts";
import { entryName } from "../../../src/object/versions/entry-name.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const location = { bucket: "b", key: "k" };
const other = { bucket: "b", key: "other" };

function fixture(entriesMax = 10) {
  const clock = new FakeClock();
  const revocations = new Revocations();
  const origin = { etag: "v1" };
  const directory = new Directory({
    source: new OriginHeads({
      id: "o",
      head: async () => ({ etag: origin.etag, sizeBytes: 10, lastModifiedMs: 0, metadata: {} }),
    }),
    clock,
    chunkTiers: defaultChunkTiers,
    ttlMs: 10_000,
    negativeTtlMs: 1000,
    entriesMax,
    revocations,
  });
  /** Looks an object up and takes a copy. Returns whether the copy may be used. */
  const copy = async (of = location): Promise<() => boolean> => {
    const lease = directory.leaseOf(of, await directory.lookup(of));
    assert(lease !== undefined);
    const word = revocations.wordOf(entryName(of));
    return () => revocations.numberAt(word) === lease.number;
  };
  return { clock, origin, directory, copy };
}

suite("Revocations", () => {
  test("leaseOf: a copy is fresh as long as the entry, counted from its question", async () => {
    const { clock, directory } = fixture();
    const found = await directory.lookup(location);
    await clock.advance(4000);
    assert.equal(directory.leaseOf(location, found)?.freshMs, 6000);
    await directory.lookup(location);
    assert.equal(directory.leaseOf(location, found)?.freshMs, 6000);
    directory.close();
  });

  test("leaseOf: an answer that is not, or no longer, the entry is not copied", async () => {
    const { directory } = fixture();
    const asked = directory.lookup(location);
    directory.invalidate(location);
    const found = await asked;
    assert.equal(directory.leaseOf(location, found), undefined);
    directory.close();
  });

  test("revoke: a dropped, replaced or evicted entry ends its copies, and those of others stay", async () => {
    const { origin, directory, copy } = fixture(2);
    const stays = await copy(other);
    const ends = async (change: () => unknown): Promise<void> => {
      const isUsable = await copy();
      assert.equal(isUsable(), true);
      await change();
      assert.equal(isUsable(), false);
    };
    await ends(() => directory.forget(location, "v1"));
    await ends(() => directory.invalidate(location));
    await ends(() => directory.clear({ originId: "o", bucket: "b", keyPrefix: "k" }));
    await ends(async () => {
      const found = await directory.lookup(location);
      origin.etag = "v2";
      await directory.revalidate(location, found);
    });
    assert.equal(stays(), true);
    await ends(async () => {
      for (let number = 0; number < 6; number += 1)
        await directory.lookup({ bucket: "b", key: `new${number}` });
    });
    directory.close();
  });

  test("revoke: an entry that is asked for again and has not changed keeps its copies", async () => {
    const { directory, copy } = fixture();
    const isUsable = await copy();
    await directory.lookup(location);
    const found = directory.peek(location);
    assert(found !== undefined);
    await directory.revalidate(location, found);
    assert.equal(isUsable(), true);
    directory.close();
  });
});
