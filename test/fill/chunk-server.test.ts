import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { ChunkServer, type ChunkServerOptions } from "../../src/fill/chunk-server.ts";
import type { Coordination } from "../../src/membership/coordination.ts";
import { FakeStore } from "../support/fake-store.ts";
import { drain, fillFixture } from "../support/fill-fixture.ts";

test("ChunkServer: until the scan has ended the disk is read before a chunk is reported as absent", async () => {
  const { filler, path, version, memory, disk } = fillFixture({ disk: true });
  assert.ok(disk instanceof FakeStore);
  const key = { version: version("k", MiB), index: 0 };
  disk.chunks.set(key.version.chunkPath(0), Buffer.alloc(MiB, 7));
  disk.believes = "unknown";
  const options: ChunkServerOptions = {
    path: { ...path, memory },
    filler,
    disk: Object.assign(disk, { sha256: () => undefined }),
    coordination: { chunkName: () => "k" } as unknown as Coordination,
  };
  const answer = new ChunkServer(options).answer({
    key,
    offset: 0,
    lengthBytes: MiB,
    passedOver: [],
    cachedOnly: true,
  });
  assert.ok(answer, "otherwise the coordinator asks the origin for a chunk that is here");
  assert.equal((await drain(answer.slices)).length, MiB);
});
