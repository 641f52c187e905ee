import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import type { ObjectVersion } from "../../src/chunk/object-version.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import type { Asker } from "../../src/trace/trace.ts";
import { clusterFixture } from "../support/cluster-fixture.ts";
import { settle } from "../support/fake-clock.ts";
import { drain } from "../support/fill-fixture.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { namesOf, stepsOf } from "../support/traced-steps.ts";

const ids = ["r0", "r1", "r2"];

function fixture() {
  const loggers = new Map(ids.map((id) => [id, new RecordedLogger()]));
  const parts = clusterFixture({ loggers, disk: true });
  const object = parts.version("k", 8 * MiB);
  const ranked = parts.ranked(object);
  const [coordinator, assembler] = ranked;
  assert.ok(coordinator && assembler);
  const loggerOf = ({ id }: { readonly id: string }): RecordedLogger => loggers.get(id) as RecordedLogger;
  return { ...parts, object, coordinator, assembler, loggerOf };
}

function readerOf(host: ReturnType<typeof fixture>["assembler"], object: ObjectVersion, requestId: string) {
  return new ObjectReader(host.path, object, 0, object.sizeBytes, { requestId, waits: undefined });
}

const chunk = { originId: "origin-a", bucket: "b", key: "k", index: 0, etag: "v1" };

test("Relay: a read through the coordinator has the same request id on both replicas, step by step", async () => {
  const { origin, object, coordinator, assembler, loggerOf } = fixture();
  const read = drain(readerOf(assembler, object, "A"));
  await settle();
  origin.reads[0]?.deliver(MiB);
  await settle();
  origin.reads[0]?.deliver().finish();
  await read;
  await settle();
  const replica = coordinator.id;
  assert.deepEqual(stepsOf(loggerOf(assembler)), [
    { step: "coordinator", requestId: "A", ...chunk, replica, rank: 1, isSelf: false },
    { step: "peer_attempt", requestId: "A", ...chunk, question: "chunk", replica, offset: 0 },
    { step: "first_bytes", requestId: "A", ...chunk, source: "peer" },
    { step: "peer_success", requestId: "A", ...chunk, question: "chunk", replica, offset: 0 },
  ]);
  assert.deepEqual(stepsOf(loggerOf(coordinator)), [
    {
      step: "peer_request",
      requestId: "A",
      ...chunk,
      question: "chunk",
      offset: 0,
      lengthBytes: 8 * MiB,
      cachedOnly: false,
      result: "accepted",
    },
    { step: "first_bytes", requestId: "A", ...chunk, source: "origin" },
    { step: "commit", requestId: "A", ...chunk, store: "disk" },
    { step: "commit_result", requestId: "A", ...chunk, store: "disk", result: "stored" },
  ]);
});

test("Relay: a refused peer is a step with its code, and the next attempt names the next in rank", async () => {
  const { origin, network, object, coordinator, assembler, loggerOf } = fixture();
  origin.auto = true;
  network.hosts.delete(coordinator.id);
  await drain(readerOf(assembler, object, "A"));
  await settle();
  const steps = stepsOf(loggerOf(assembler), "A");
  assert.deepEqual(namesOf(steps), [
    "coordinator",
    "peer_attempt",
    "peer_refusal",
    "commit",
    "first_bytes",
    "commit_result",
  ]);
  assert.deepEqual([steps[2]?.["replica"], steps[2]?.["code"]], [coordinator.id, "peer_unavailable"]);
});

test("Relay: a peer that says it is not the coordinator is a refusal, on both replicas", async () => {
  const { origin, members, object, coordinator, assembler, loggerOf } = fixture();
  origin.auto = true;
  coordinator.view.live = members.filter(({ replicaId }) => replicaId !== coordinator.id);
  await drain(readerOf(assembler, object, "A"));
  await settle();
  const refusal = stepsOf(loggerOf(assembler), "A").find(({ step }) => step === "peer_refusal");
  assert.deepEqual([refusal?.["replica"], refusal?.["code"]], [coordinator.id, "not_coordinator"]);
  const [asked] = stepsOf(loggerOf(coordinator), "A");
  assert.deepEqual([asked?.step, asked?.["result"]], ["peer_request", "not_coordinator"]);
});

test("ObjectReader: a joiner's step names the request that started the flight", async () => {
  const { origin, object, coordinator, loggerOf } = fixture();
  const leader = drain(readerOf(coordinator, object, "A"));
  await settle();
  const joiner = drain(readerOf(coordinator, object, "B"));
  await settle();
  origin.reads[0]?.deliver().finish();
  await Promise.all([leader, joiner]);
  assert.deepEqual(stepsOf(loggerOf(coordinator), "B"), [
    { step: "flight_join", requestId: "B", ...chunk, leaderId: "A" },
    { step: "first_bytes", requestId: "B", ...chunk, source: "join" },
  ]);
});

test("ObjectReader: a hit in memory makes no record of waits, and a miss makes one", async () => {
  const { origin, object, coordinator } = fixture();
  origin.auto = true;
  const askers = ["A", "B"].map((requestId): Asker => ({ requestId, waits: undefined }));
  for (const asker of askers)
    await drain(new ObjectReader(coordinator.path, object, 0, object.sizeBytes, asker));
  assert.deepEqual(
    askers.map(({ waits }) => waits !== undefined),
    [true, false],
  );
});
