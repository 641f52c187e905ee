import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { MiB } from "../../../src/base/units.ts";
import { HeldChunks } from "../../../src/fill/inspection/held-chunks.ts";
import { ObjectInspection } from "../../../src/fill/inspection/object-inspection.ts";
import type { ChunkKey } from "../../../src/store/chunk-store.ts";
import { keyOf } from "../../store/disk/disk-fixture.ts";
import { memberOf } from "../../support/member-of.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

test("HeldChunks: each tier has its bit, and a chunk of unknown presence is not held", async () => {
  const { version } = keyOf("k", 6 * MiB, 0, MiB);
  const held = new HeldChunks({
    memory: {
      peek: (memoryKey) => (memoryKey === version.memoryKey(0) ? ({ isWhole: true } as never) : undefined),
    },
    disk: { presence: ({ index }: ChunkKey) => (index < 2 ? "held" : "unknown") },
    cachestore: { peek: ({ index }: ChunkKey) => (index === 3 ? "held" : "absent") },
    flights: { has: ({ index }: ChunkKey) => index === 4 },
  });
  assert.deepEqual([...(await held.inspect(version))], [3, 2, 0, 8, 4, 0]);
});

test("HeldChunks: a chunk is partial where memory and disk hold blocks of it, and neither holds it whole", async () => {
  const { version } = keyOf("k", 40 * MiB, 0, 8 * MiB);
  const inMemory = new Map([
    [0, false],
    [2, false],
    [4, true],
  ]);
  const held = new HeldChunks({
    memory: {
      peek: (memoryKey) => {
        const isWhole = [...inMemory].find(([index]) => memoryKey === version.memoryKey(index))?.[1];
        return isWhole === undefined ? undefined : ({ isWhole } as never);
      },
    },
    disk: {
      presence: ({ index }: ChunkKey) => (index === 2 ? "held" : "absent"),
      partial: { holdsAny: ({ index }: ChunkKey) => index === 1 || index === 4 } as never,
    },
    cachestore: undefined,
    flights: { has: () => false },
  });
  assert.deepEqual([...(await held.inspect(version))], [1 + 16, 2 + 16, 1 + 2, 0, 1 + 2]);
});

test("ObjectInspection: only live members are asked; one that fails is listed with the reason", async () => {
  const { version } = keyOf("k", 2 * MiB, 0, MiB);
  const members = [
    memberOf("r3", { state: "suspect" }),
    memberOf("r1"),
    memberOf("r2"),
    memberOf("r4", { state: "dead" }),
    memberOf("r5", { state: "left" }),
  ];
  const asked: string[] = [];
  const lost = new OrcaError("peer_unavailable", "mesh", 'Cannot ask "r3": no answer within 3000 ms');
  const inspection = new ObjectInspection({
    replicaId: "r1",
    held: { inspect: () => Promise.resolve(Uint8Array.of(1, 2)) },
    cluster: {
      coordination: {
        members: () => members,
        chunkName: ({ version: of, index }) => of.chunkPath(index),
        coordinator: (path) => memberOf(path.endsWith("/0") ? "r2" : "r1"),
      },
      cachePeers: {
        inspect: async ({ replicaId }) => {
          asked.push(replicaId);
          if (replicaId === "r3") throw lost;
          return Uint8Array.of(0, 3);
        },
      },
    },
  });
  assert.deepEqual(await inspection.inspect(version), {
    replicas: [
      { replicaId: "r1", tiers: Uint8Array.of(1, 2) },
      { replicaId: "r2", tiers: Uint8Array.of(0, 3) },
      { replicaId: "r3", tiers: lost },
    ],
    coordinators: ["r2", "r1"],
  });
  assert.deepEqual(asked, ["r2", "r3"]);
});

test("ObjectInspection: an object with too many chunks is rejected before any member is asked", async () => {
  const held = new HeldChunks({
    memory: { peek: () => undefined },
    disk: undefined,
    cachestore: undefined,
    flights: { has: () => false },
  });
  const inspection = new ObjectInspection({ replicaId: "r0", held, cluster: undefined });
  const { version } = keyOf("k", 100_001 * MiB, 0, MiB);
  const error = await rejectsWith("invalid_argument", inspection.inspect(version));
  assert.match(error.message, /it has 100001 chunks, at most 100000 can be inspected/);
});
