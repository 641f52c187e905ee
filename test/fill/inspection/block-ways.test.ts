import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../../src/base/units.ts";
import { ObjectVersion } from "../../../src/chunk/object-version.ts";
import { BlockWays, type BlockWaysOptions } from "../../../src/fill/inspection/block-ways.ts";
import { flightSources } from "../../../src/fill/inspection/held-blocks.ts";
import { memberOf } from "../../support/member-of.ts";

const version = new ObjectVersion({
  originId: "o",
  bucket: "b",
  objectKey: "k",
  etag: "e",
  sizeBytes: 2 * MiB - 1,
  chunkSizeBytes: 4 * MiB,
});
const [memory, disk, flight, cachestore, scanning] = [1, 2, 4, 8, 16];
const members = ["r0", "r1", "r2", "r3"].map((id) => memberOf(id));

/** Ways of the two blocks at r0, where r1 coordinates the chunk. */
function ways(
  bits: Record<string, number | undefined>,
  options: Partial<BlockWaysOptions> & { avoided?: string[]; coordinator?: number } = {},
) {
  const { avoided = [], coordinator = 1, ...rest } = options;
  const coordination = {
    chunkName: () => "name",
    peekNext: () => ({ member: members[coordinator] as (typeof members)[0], avoided }),
    ranked: (_: string, count = 4) =>
      [1, 2, 0, 3].slice(0, count).map((at) => members[at] as (typeof members)[0]),
  };
  const explainer = new BlockWays({
    replicaId: "r0",
    coordination,
    copies: 1,
    hasCachestore: false,
    ...rest,
  });
  const blocks = new Map(
    Object.entries(bits).map(([id, each]) => [
      id,
      each === undefined ? undefined : Uint8Array.of(each, each),
    ]),
  );
  const held = { version, firstChunk: 0, chunkCount: 1, blocks };
  const found = explainer.of(held, 0, version.sizeBytes);
  assert.deepEqual(
    found.map(({ first, last }) => [first, last]),
    [[0, version.sizeBytes - 1]],
    "blocks that come the same way share one",
  );
  const { from, at, why, copies } = found[0] as (typeof found)[0];
  return { from, at, why, copies };
}

test("BlockWays: this replica's own tiers come first, in the order of a reader", () => {
  const others = { r1: memory };
  assert.deepEqual(
    [memory + flight + disk, flight + disk, disk].map((own) => ways({ r0: own, ...others }).from),
    ["memory", "flight", "disk"],
  );
  for (const [place, source] of flightSources.entries()) {
    const { why } = ways({ r0: flight + 64 * place });
    const words = { origin: "the origin", disk: "its disk", cachestore: "the cachestore", peer: "a peer" };
    assert.match(why, new RegExp(`is fetching it from ${words[source]}, and is joined`));
  }
});

test("BlockWays: the coordinator's tiers, then its fill; a silent coordinator is unknown", () => {
  assert.deepEqual(
    [memory, flight, disk, 0, undefined].map((bits) => {
      const { from, at } = ways({ r0: 0, r1: bits });
      return [from, at];
    }),
    [
      ["memory", "r1"],
      ["flight", "r1"],
      ["disk", "r1"],
      ["origin", "r1"],
      ["unknown", "r1"],
    ],
  );
  assert.match(
    ways({ r0: scanning, r1: 0 }).why,
    /^the disk here is tried first, because its scan has not ended; /,
  );
  assert.match(ways({ r0: 0, r1: 0 }, { avoided: ["r3"] }).why, /^r3 failed a moment ago and is avoided; /);
  const own = ways({ r0: 0, r1: memory }, { coordinator: 0 });
  assert.deepEqual([own.from, own.at, own.copies], ["origin", "r0", ["r1"]]);
});

test("BlockWays: the cachestore where a catalog lists the chunk, and copies on keepers' disks", () => {
  const store = { hasCachestore: true };
  assert.deepEqual(ways({ r0: cachestore, r1: memory }, store).at, "r0");
  assert.equal(ways({ r0: cachestore, r1: memory }, store).from, "cachestore");
  const byPeer = ways({ r0: 0, r1: cachestore }, store);
  assert.deepEqual([byPeer.from, byPeer.at], ["cachestore", "r1"]);
  assert.match(
    ways({ r0: 0, r1: 0 }, store).why,
    /the cachestore is asked, and by the catalog of r1 does not have/,
  );
  const copy = ways({ r0: 0, r1: 0, r2: disk }, { copies: 2 });
  assert.deepEqual([copy.from, copy.at], ["copy", "r2"]);
  assert.match(copy.why, /its keepers are r1, r2, and r2 has a copy$/);
  const none = ways({ r0: 0, r1: 0, r2: 0 }, { copies: 2 });
  assert.equal(none.from, "origin");
  assert.match(
    none.why,
    /its keepers are r1, r2, and nobody who is asked has a copy; so the origin sends it$/,
  );
});
