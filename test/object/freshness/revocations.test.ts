/** Copies of a directory's answers in other threads, and what ends them. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { defaultChunkTiers } from "../../../src/chunk/chunk-layout.ts";
import { Directory } from "../../../src/object/directory.ts";
import { refreshMs } from "../../../src/object/freshness/revalidations.ts";
import { Revocations, revocationMemory } from "../../../src/object/freshness/revocations.ts";
import { OriginHeads } from "../../../src/object/heads/origin-heads.ts";
import { entryName } from "../../../src/object/versions/entry-name.ts";
import type { ObjectHead } from "../../../src/origin/origin.ts";
import { FakeClock, settle } from "../../support/fake-clock.ts";

const location = { bucket: "b", key: "k" };
const other = { bucket: "b", key: "other" };

const head: ObjectHead = { etag: "v1", sizeBytes: 10, lastModifiedMs: 0, metadata: {} };

function fixture(entriesMax = 10) {
  const clock = new FakeClock();
  const revocations = new Revocations(revocationMemory(10));
  const origin = { etag: "v1" };
  const directory = new Directory({
    source: new OriginHeads({
      id: "o",
      head: async () => ({ ...head, etag: origin.etag }),
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

  test("leaseOf: while the coordinator is slow, a copy counts as refreshed for refreshMs, and then asks", async () => {
    const clock = new FakeClock();
    const slow = Promise.withResolvers<void>();
    let held = Promise.resolve();
    const directory = new Directory({
      source: {
        id: "o",
        isOrigin: false,
        head: async () => {
          await held;
          return { head, remainingMs: 60_000 };
        },
      },
      clock,
      chunkTiers: defaultChunkTiers,
      ttlMs: 60_000,
      negativeTtlMs: 1000,
      entriesMax: 10,
      revocations: new Revocations(revocationMemory(10)),
    });
    const found = await directory.lookup(location);
    await clock.advance(refreshMs / 4);
    assert.equal(directory.leaseOf(location, found)?.refreshedMs, (3 / 4) * refreshMs);
    await clock.advance(refreshMs);
    held = slow.promise;
    const read = directory.lookupRefreshed(location);
    await clock.advance(refreshMs);
    assert.equal(await read, found);
    assert.equal(directory.leaseOf(location, found)?.refreshedMs, refreshMs);
    slow.resolve();
    await settle();
    assert.equal(directory.leaseOf(location, found)?.refreshedMs, 0);
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
