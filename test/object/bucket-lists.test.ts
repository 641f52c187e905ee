import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { BucketLists } from "../../src/object/bucket-lists.ts";
import type { ListedBucket, OriginKey } from "../../src/origin/origin.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { rejectsWith } from "../support/rejects-with.ts";

const alice: OriginKey = { accessKeyId: "alice", secretAccessKey: "a" };
const bob: OriginKey = { accessKeyId: "bob", secretAccessKey: "b" };

function fixture() {
  const clock = new FakeClock();
  const asked: string[] = [];
  const state: { fault: OrcaError | undefined; names: number } = { fault: undefined, names: 0 };
  const origin = {
    listBuckets: async (as: OriginKey | undefined): Promise<readonly ListedBucket[]> => {
      const owner = as?.accessKeyId ?? "orca";
      asked.push(owner);
      if (state.fault) throw state.fault;
      const more = Array.from({ length: state.names }, (_, index) => ({
        name: `bucket-${index}`.padEnd(63, "x"),
        createdMs: undefined,
      }));
      return [{ name: `of-${owner}`, createdMs: 0 }, ...more];
    },
  };
  const lists = new BucketLists({ origin, clock, ttlMs: 60_000, clientTtlMs: 30_000, negativeTtlMs: 10_000 });
  const namesFor = async (as: OriginKey | undefined): Promise<string> =>
    (await lists.list(as)).map(({ name }) => name).join(" ");
  return { clock, asked, state, lists, namesFor };
}

test("BucketLists: each key has a list of its own, asked for once per TTL", async () => {
  const { clock, asked, lists, namesFor } = fixture();
  for (let round = 0; round < 2; round += 1) {
    assert.deepEqual(await Promise.all([alice, bob, undefined, alice].map(namesFor)), [
      "of-alice",
      "of-bob",
      "of-orca",
      "of-alice",
    ]);
  }
  assert.deepEqual(asked, ["alice", "bob", "orca"]);
  // A right that is taken away ends with server.auth.authorize_ttl.
  await clock.advance(30_000);
  await Promise.all([alice, undefined].map(namesFor));
  assert.deepEqual(asked, ["alice", "bob", "orca", "alice"]);
  lists.close();
  assert.equal(clock.pendingTimers, 0);
});

test("BucketLists: a session token makes another key", async () => {
  const { asked, namesFor } = fixture();
  await namesFor(alice);
  await namesFor({ ...alice, sessionToken: "t" });
  assert.equal(asked.length, 2);
});

test("BucketLists: a denial is kept for the negative TTL, another failure is not", async () => {
  const { clock, asked, state, lists } = fixture();
  state.fault = new OrcaError("origin_denied", "origin", "no right");
  await rejectsWith("origin_denied", lists.list(alice));
  await rejectsWith("origin_denied", lists.list(alice));
  assert.equal(asked.length, 1);
  await clock.advance(10_000);
  state.fault = new OrcaError("origin_unavailable", "origin", "down");
  await rejectsWith("origin_unavailable", lists.list(alice));
  await rejectsWith("origin_unavailable", lists.list(alice));
  assert.equal(asked.length, 3);
  state.fault = undefined;
  await lists.list(alice);
});

test("BucketLists: after a clear every list is asked for again", async () => {
  const { asked, lists, namesFor } = fixture();
  await namesFor(alice);
  lists.clear();
  await namesFor(alice);
  assert.equal(asked.length, 2);
});

test("BucketLists: any number of keys and buckets takes no more than the bounds", async () => {
  const { state, lists, namesFor } = fixture();
  for (let index = 0; index < 3000; index += 1)
    await namesFor({ accessKeyId: `key-${index}`, secretAccessKey: "s" });
  assert.equal(lists.size, 1000);
  state.names = 10_000;
  for (let index = 0; index < 20; index += 1)
    await namesFor({ accessKeyId: `owner-${index}`, secretAccessKey: "s" });
  assert.ok(lists.bytes <= 8 * 1024 * 1024);
  assert.ok(lists.size < 1000);
});
