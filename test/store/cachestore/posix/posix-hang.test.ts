import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { MiB } from "../../../../src/base/units.ts";
import type { PosixCachestore } from "../../../../src/store/cachestore/posix/posix-cachestore.ts";
import { rejectsWith } from "../../../support/rejects-with.ts";
import { until } from "../../../support/until.ts";
import { chunkOf, keyOf } from "../../disk/disk-fixture.ts";
import { criterion, openBelow, readAll } from "./posix-fixture.ts";

const isBack = (store: PosixCachestore) => until(() => store.lateCalls === 0);

criterion(
  "a read that hangs fails at its deadline, and the thread is used again when the call returns",
  async (fixture) => {
    const key = keyOf("k", 3 * MiB);
    const store = await fixture.open({ readThreadModule: fixture.gate.readThread("readSync") });
    await fixture.put(store, key);
    assert.ok(await readAll(store, key));
    fixture.gate.shut();
    const reading = rejectsWith("store_unavailable", readAll(store, key));
    await fixture.clock.advance(4999);
    assert.equal(store.lateCalls, 0);
    await fixture.clock.advance(1);
    assert.match((await reading).message, /: ETIMEDOUT$/);
    assert.deepEqual([store.lateCalls, store.stats.errorsByCode], [1, { ETIMEDOUT: 1 }]);
    fixture.gate.open();
    await isBack(store);
    assert.ok(await readAll(store, key));
  },
);

criterion("a late block is not written into the caller's memory", async (fixture) => {
  const key = keyOf("k", MiB);
  const store = await fixture.open({ readThreadModule: fixture.gate.readThread("readSync") });
  await fixture.put(store, key);
  assert.ok(await readAll(store, key));
  fixture.gate.shut();
  const target = Buffer.from(new SharedArrayBuffer(MiB));
  const sink = { space: () => target, advance: () => assert.fail("nothing came in time") };
  const reading = store.read(key, 0, MiB, sink, new AbortController().signal);
  const failed = rejectsWith("store_unavailable", reading);
  await fixture.clock.advance(5000);
  await failed;
  fixture.gate.open();
  await isBack(store);
  assert.ok(target.every((byte) => byte === 0));
});

criterion(
  "while every thread hangs, reads fail at once, and the process can read its own files",
  async (fixture) => {
    const keys = ["a", "b", "c"].map((objectKey) => keyOf(objectKey, MiB));
    const store = await fixture.open({ readThreadModule: fixture.gate.readThread("openSync") });
    for (const key of keys) await fixture.put(store, key);
    fixture.gate.shut();
    const readings = Promise.all(keys.map((key) => rejectsWith("store_unavailable", readAll(store, key))));
    await fixture.clock.advance(5000);
    await readings;
    assert.equal(store.lateCalls, 2);
    await rejectsWith("store_unavailable", readAll(store, keys[0] as (typeof keys)[0]));
    await rejectsWith("store_unavailable", store.delete(keys[0] as (typeof keys)[0]));
    assert.equal(fixture.clock.pendingTimers, 0);
    const own = await Promise.all(Array.from({ length: 16 }, () => readFile(import.meta.filename)));
    assert.equal(own.length, 16);
    fixture.gate.open();
    await isBack(store);
    for (const key of keys) assert.ok(await readAll(store, key));
  },
);

criterion("a file that is opened too late is closed", async (fixture) => {
  const key = keyOf("k", MiB);
  const store = await fixture.open({ readThreadModule: fixture.gate.readThread("openSync") });
  await fixture.put(store, key);
  fixture.gate.shut();
  const reading = rejectsWith("store_unavailable", readAll(store, key));
  await fixture.clock.advance(5000);
  await reading;
  fixture.gate.open();
  await isBack(store);
  await until(() => openBelow(fixture.directory) === 0);
  assert.equal(store.openFiles, 0);
});

criterion(
  "a commit that hangs fails while its memory stays held, and no other commit waits",
  async (fixture) => {
    const { budget, gate } = fixture;
    const store = await fixture.open({ writeThreadModule: gate.writeThread("writevSync") });
    gate.shut();
    const [hung, queued, refused] = [
      keyOf("hung", 2 * MiB),
      keyOf("queued", MiB),
      keyOf("refused", MiB),
    ] as const;
    const puts = Promise.all([
      rejectsWith("store_unavailable", fixture.put(store, hung)),
      rejectsWith("store_unavailable", fixture.put(store, queued)),
    ]);
    await fixture.clock.advance(30_000);
    await puts;
    assert.equal(budget.usedBytes, 2 * MiB);
    await rejectsWith("store_unavailable", fixture.put(store, refused));
    assert.equal(budget.usedBytes, 2 * MiB);
    assert.deepEqual(store.stats.errorsByCode, { ETIMEDOUT: 3 });
    gate.open();
    await until(() => budget.usedBytes === 0);
    // The put failed, but the thread stored the chunk in the end.
    assert.equal(await fixture.put(store, hung), "present");
    assert.equal(await fixture.put(store, refused), "stored");
    assert.deepEqual([await readAll(store, hung), await readAll(store, refused)], [true, true]);
  },
);

criterion("close does not wait for a thread that hangs", async (fixture) => {
  const { gate, clock } = fixture;
  const store = await fixture.open({
    readThreadModule: gate.readThread("openSync"),
    writeThreadModule: gate.writeThread("writevSync"),
  });
  gate.shut();
  const chunk = chunkOf(fixture.budget, keyOf("hung", MiB));
  const putting = rejectsWith("store_unavailable", store.put(keyOf("hung", MiB), chunk));
  const reading = rejectsWith("store_unavailable", readAll(store, keyOf("k", MiB)));
  await clock.advance(30_000);
  await Promise.all([putting, reading]);
  chunk.release();
  const closing = store.close(1000);
  await clock.advance(1000);
  await closing;
  gate.open();
  await until(() => fixture.budget.usedBytes === 0);
});

criterion("a root that hangs fails the check, and the message names the timeout", async (fixture) => {
  const store = fixture.unchecked({ writeThreadModule: fixture.gate.writeThread("statSync") });
  fixture.gate.shut();
  const checking = rejectsWith("config_invalid", store.check());
  await fixture.clock.advance(30_000);
  assert.match((await checking).message, /no answer within 30000 ms$/);
  fixture.gate.open();
});
