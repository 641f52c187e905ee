import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { MiB } from "../../../../src/base/units.ts";
import type { PosixCachestore } from "../../../../src/store/cachestore/posix/posix-cachestore.ts";
import { rejectsWith } from "../../../support/rejects-with.ts";
import { until } from "../../../support/until.ts";
import { chunkOf, refOf } from "../../disk/disk-fixture.ts";
import { criterion, openBelow, readAll } from "./posix-fixture.ts";

const isBack = (store: PosixCachestore) => until(() => store.lateCalls === 0);

criterion(
  "a read that hangs fails at its deadline, and the thread is used again when the call returns",
  async (fixture) => {
    const ref = refOf("k", 3 * MiB);
    const store = await fixture.open({ readThreadModule: fixture.gate.readThread("readSync") });
    await fixture.put(store, ref);
    assert.ok(await readAll(store, ref));
    fixture.gate.shut();
    const reading = rejectsWith("store_unavailable", readAll(store, ref));
    await fixture.clock.advance(4999);
    assert.equal(store.lateCalls, 0);
    await fixture.clock.advance(1);
    assert.match((await reading).message, /: ETIMEDOUT$/);
    assert.deepEqual([store.lateCalls, store.stats.errorsByCode], [1, { ETIMEDOUT: 1 }]);
    fixture.gate.open();
    await isBack(store);
    assert.ok(await readAll(store, ref));
  },
);

criterion("a late block is not written into the caller's memory", async (fixture) => {
  const ref = refOf("k", MiB);
  const store = await fixture.open({ readThreadModule: fixture.gate.readThread("readSync") });
  await fixture.put(store, ref);
  assert.ok(await readAll(store, ref));
  fixture.gate.shut();
  const target = Buffer.from(new SharedArrayBuffer(MiB));
  const sink = { space: () => target, advance: () => assert.fail("nothing came in time") };
  const reading = store.read(ref, 0, MiB, sink, new AbortController().signal);
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
    const refs = ["a", "b", "c"].map((key) => refOf(key, MiB));
    const store = await fixture.open({ readThreadModule: fixture.gate.readThread("openSync") });
    for (const ref of refs) await fixture.put(store, ref);
    fixture.gate.shut();
    const readings = Promise.all(refs.map((ref) => rejectsWith("store_unavailable", readAll(store, ref))));
    await fixture.clock.advance(5000);
    await readings;
    assert.equal(store.lateCalls, 2);
    await rejectsWith("store_unavailable", readAll(store, refs[0] as (typeof refs)[0]));
    await rejectsWith("store_unavailable", store.delete(refs[0] as (typeof refs)[0]));
    assert.equal(fixture.clock.pendingTimers, 0);
    const own = await Promise.all(Array.from({ length: 16 }, () => readFile(import.meta.filename)));
    assert.equal(own.length, 16);
    fixture.gate.open();
    await isBack(store);
    for (const ref of refs) assert.ok(await readAll(store, ref));
  },
);

criterion("a file that is opened too late is closed", async (fixture) => {
  const ref = refOf("k", MiB);
  const store = await fixture.open({ readThreadModule: fixture.gate.readThread("openSync") });
  await fixture.put(store, ref);
  fixture.gate.shut();
  const reading = rejectsWith("store_unavailable", readAll(store, ref));
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
      refOf("hung", 2 * MiB),
      refOf("queued", MiB),
      refOf("refused", MiB),
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
  const chunk = chunkOf(fixture.budget, refOf("hung", MiB));
  const putting = rejectsWith("store_unavailable", store.put(refOf("hung", MiB), chunk));
  const reading = rejectsWith("store_unavailable", readAll(store, refOf("k", MiB)));
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
