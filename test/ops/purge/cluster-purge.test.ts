import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import type { Coordination } from "../../../src/membership/coordination.ts";
import type { Bucket } from "../../../src/object/bucket.ts";
import type { PurgedReplica, PurgeScope } from "../../../src/object/freshness/purge-peers.ts";
import {
  ClusterPurge,
  type PurgeDocument,
  type PurgedDocument,
} from "../../../src/ops/purge/cluster-purge.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { memberOf } from "../../support/member-of.ts";

const bucket = {
  directory: { originId: "o" },
  locate: (key: string) => ({ bucket: "b", key: `p/${key}` }),
} as unknown as Bucket;
const plan = {
  bucket,
  keyPrefix: "run/",
  match: "prefix",
  what: "all",
  cachestore: false,
} as const;
const never = new AbortController().signal;

function purgeOf(answer: (replicaId: string, scope: PurgeScope) => Promise<PurgedReplica>) {
  const asked: string[] = [];
  const ask = (id: string, { what }: PurgeScope): Promise<PurgedReplica> => {
    asked.push(`${id} ${what}`);
    return answer(id, { what, cachestore: false });
  };
  const purge = new ClusterPurge({
    replicaId: "r0",
    local: { purge: (_prefix, scope) => ask("r0", scope) },
    cluster: {
      coordination: { live: ["r0", "r1", "r2"].map((id) => memberOf(id)) } as unknown as Coordination,
      peers: { purge: ({ replicaId }, _prefix, scope) => ask(replicaId, scope) },
    },
    cachestore: undefined,
    chunkTiers: [],
    clock: new FakeClock(),
  });
  return { asked, purge };
}

function purged(objects: number): PurgedReplica {
  return { objects, memory: { chunks: 1, bytes: 5 }, disk: null, cachestore: null };
}

test("ClusterPurge: all replicas forget metadata before the first forgets chunks", async () => {
  const { asked, purge } = purgeOf(async (_id, { what }) => purged(what === "metadata" ? 2 : 0));
  const lines = await Array.fromAsync(purge.start(plan, never));
  assert.deepEqual(asked, ["r0 metadata", "r1 metadata", "r2 metadata", "r0 all", "r1 all", "r2 all"]);
  const replicas = lines.filter((line): line is PurgedDocument => "replica_id" in line);
  assert.deepEqual(
    replicas.map(({ replica_id: id, self, objects, reason }) => [id, self, objects, reason]),
    [
      ["r0", true, 2, null],
      ["r1", false, 2, null],
      ["r2", false, 2, null],
    ],
  );
  assert.deepEqual(lines.at(-1), {
    state: "complete",
    replicas: 3,
    unanswered: 0,
    cachestore: null,
    reason: null,
  });
});

test("ClusterPurge: a replica that fails keeps none of the others from it, and is named", async () => {
  const silent = new OrcaError("peer_unavailable", "mesh", 'Cannot ask "r1" to forget objects: no answer');
  const { purge } = purgeOf((id) => (id === "r1" ? Promise.reject(silent) : Promise.resolve(purged(0))));
  const lines = await Array.fromAsync(purge.start(plan, never));
  const failed = lines.filter((line) => "replica_id" in line && line.reason !== null) as PurgedDocument[];
  assert.deepEqual(
    failed.map(({ replica_id: id, objects, reason }) => [id, objects, reason]),
    [["r1", null, silent.message]],
  );
  const last = lines.at(-1) as PurgeDocument;
  assert.deepEqual([last.state, last.unanswered], ["incomplete", 1]);
});

test("ClusterPurge: one runs at once, and a stop ends it", async () => {
  const begun = Promise.withResolvers<PurgedReplica>();
  const { purge } = purgeOf(() => begun.promise);
  const lines = Array.fromAsync(purge.start(plan, never));
  assert.throws(() => purge.start(plan, never), /another purge runs here/);
  const stopped = purge.stop();
  begun.resolve(purged(0));
  await stopped;
  assert.equal(((await lines).at(-1) as PurgeDocument).unanswered, 3);
});

test("ClusterPurge: of one object in the cachestore, no more is listed than the page that has it", async () => {
  const tokens: string[] = [];
  const list: Bucket["list"] = async ({ continuationToken }) => {
    tokens.push(continuationToken);
    const keys = continuationToken === "" ? [] : ["run", "run/1"];
    const objects = keys.map((key) => ({ key, etag: "e", sizeBytes: 5, lastModifiedMs: 0 }));
    return { objects, commonPrefixes: [], nextContinuationToken: `t${tokens.length}` };
  };
  const deleted: number[] = [];
  const purge = new ClusterPurge({
    replicaId: "r0",
    local: { purge: async () => purged(0) },
    cluster: undefined,
    cachestore: { tryDelete: async ({ index }) => deleted.push(index) > 0 },
    chunkTiers: [{ minObjectSizeBytes: 0, chunkSizeBytes: 4 }],
    clock: new FakeClock(),
  });
  const one = {
    ...plan,
    bucket: {
      directory: bucket.directory,
      locate: (key: string) => bucket.locate(key),
      list,
    } as unknown as Bucket,
    keyPrefix: "run",
    match: "key",
  } as const;
  const lines = await Array.fromAsync(purge.start({ ...one, cachestore: true }, never));
  assert.deepEqual((lines.at(-1) as PurgeDocument).cachestore, { objects: 1, chunks: 2, failed: 0 });
  assert.deepEqual(
    [tokens, deleted],
    [
      ["", "t1"],
      [0, 1],
    ],
  );
});
