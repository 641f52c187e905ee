/** A call to the origin that hangs: what the log of a replica says while it does, and when it has ended. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { type ReplicaFixture, startReplica, testBucket } from "../support/replica-fixture.ts";
import { until } from "../support/until.ts";

/** Time that a test moves on, while timers go by real time. */
class LateClock extends SystemClock {
  lateMs = 0;

  override monotonic(): number {
    return super.monotonic() + this.lateMs;
  }
}

let fixture: ReplicaFixture | undefined;

afterEach(async () => {
  await fixture?.stop();
  fixture = undefined;
});

test("a GET that hangs is told once with the flight and the requests that wait, and told when it ends", async () => {
  const clock = new LateClock();
  fixture = await startReplica({ clock });
  const { origin, logger, get } = fixture;
  const events = (event: string) =>
    logger.events
      .map(({ fields }) => fields as Record<string, unknown>)
      .filter((line) => line["event"] === event);
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 2 * MiB });
  await (await get("k", { range: "bytes=0-9" })).arrayBuffer();
  const gate = origin.faults.hold("GET", "k");
  const reads = [0, 1].map(async (first) => {
    const range = `bytes=${MiB + first}-${2 * MiB - 1}`;
    return (await (await (fixture as ReplicaFixture).get("k", { range })).arrayBuffer()).byteLength;
  });
  await gate.reached;
  await until(async () => (await (fixture as ReplicaFixture).metric("orca_flight_joins_total")) === 1);
  clock.lateMs = 6000;
  await until(() => events("call_stalled").length > 0);
  const [line] = events("call_stalled");
  assert.deepEqual(
    [line?.["place"], line?.["operation"], line?.["key"], line?.["index"]],
    ["origin", "get", "k", 0],
  );
  const stack = line?.["stack"] as string[];
  assert.equal(stack.length, 3, stack.join("; "));
  assert.equal(stack[0], "origin get");
  assert.match(
    stack[1] ?? "",
    /^the flight of chunk 0 of models\/k, which request [0-9A-F]{16} started, waits for firstByte since/,
  );
  assert.match(stack[2] ?? "", /^requests [0-9A-F]{16}, [0-9A-F]{16} wait for the flight$/);
  assert.equal(await fixture.metric('orca_calls_stalled{place="origin"}'), 1);
  gate.release();
  assert.deepEqual(await Promise.all(reads), [MiB, MiB - 1]);
  await until(() => events("call_stall_ended").length > 0);
  assert.equal(events("call_stalled").length, 1);
  assert.deepEqual([events("call_stall_ended")[0]?.["result"], events("call_stall_ended").length], ["ok", 1]);
  assert.equal(await fixture.metric('orca_calls_stalled{place="origin"}'), 0);
  assert.equal(await fixture.metric('orca_calls_stalled_total{place="origin"}'), 1);
});

test("a LIST that hangs is told once with the listing that waits, and told when it ends", async () => {
  const clock = new LateClock();
  fixture = await startReplica({ clock });
  const { origin, logger, endpoint } = fixture;
  const events = (event: string) =>
    logger.events
      .map(({ fields }) => fields as Record<string, unknown>)
      .filter((line) => line["event"] === event);
  origin.put(testBucket, "run/k", { seed: 1, sizeBytes: 1 });
  const gate = origin.faults.hold("LIST", "run/");
  const lists = [0, 1].map(() => fetch(`${endpoint}/${testBucket}?list-type=2&prefix=run/`));
  await gate.reached;
  clock.lateMs = 6000;
  await until(() => events("call_stalled").length > 0);
  const [line] = events("call_stalled");
  assert.deepEqual(
    [line?.["place"], line?.["operation"], line?.["bucket"], line?.["prefix"], line?.["attempt"]],
    ["origin", "list", testBucket, "run/", 1],
  );
  assert.deepEqual(line?.["stack"], [
    "origin list",
    `a page of the listing of ${testBucket}/run/ waits for it`,
  ]);
  gate.release();
  for (const list of lists) assert.match(await (await list).text(), /<Key>run\/k<\/Key>/);
  await until(() => events("call_stall_ended").length > 0);
  assert.deepEqual([events("call_stalled").length, events("call_stall_ended")[0]?.["result"]], [1, "ok"]);
});

test("/readyz has a notice about the event loop, and it is no reason for a 503", async () => {
  fixture = await startReplica();
  const response = await fetch(`${fixture.opsEndpoint}/readyz`);
  const { ready, notices } = (await response.json()) as { ready: boolean; notices: Record<string, string> };
  assert.deepEqual([response.status, ready], [200, true]);
  // A busy machine makes it late.
  assert.match(notices["event_loop"] ?? "", /^ok$|^the event loop is late /);
});
