import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rendezvous } from "../../src/placement/rendezvous.ts";

const chunkPrefix = "awss3-garage/5bc6b9145a70bbc75d9ec25cd598ca27c868b4691f86eff99a84ace826013d73/";

function replicas(...ids: string[]): { readonly replicaId: string }[] {
  return ids.map((replicaId) => ({ replicaId }));
}

const someIds = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 12 });

test("Rendezvous: places these keys so on every replica, in every version", () => {
  const placement = new Rendezvous(replicas("a", "b", "c", "d", "e"));
  for (const [key, order] of [
    ["", "eacdb"],
    ["k", "cedab"],
    ["origin-a/cc0e4b455e06eb99a21504f612a81a6668b63886990b32c1b3758aae4a33a7ad/7", "dbeca"],
    [`${chunkPrefix}0`, "dbcea"],
    [`${chunkPrefix}1`, "aebcd"],
    [`${chunkPrefix}2`, "daceb"],
    ["head:bucket/ключ", "aedcb"],
  ] as const) {
    const ranked = placement.rank(key).map(({ replicaId }) => replicaId);
    assert.equal(ranked.join(""), order, `the order for "${key}"`);
  }
});

test("Rendezvous.owner: nobody owns anything where there is nobody, and one replica owns everything", () => {
  assert.equal(new Rendezvous([]).owner("key"), undefined);
  assert.deepEqual(new Rendezvous([]).rank("key"), []);
  assert.equal(new Rendezvous(replicas("only")).owner("key")?.replicaId, "only");
});

test("Rendezvous.owner: is the first of rank, whatever order the replicas are given in", () => {
  fc.assert(
    fc.property(someIds, fc.string({ maxLength: 100 }), (ids, key) => {
      const placement = new Rendezvous(replicas(...ids));
      const reversed = new Rendezvous(replicas(...ids.toReversed()));
      const ranked = placement.rank(key);
      assert.equal(ranked.length, ids.length);
      assert.equal(placement.owner(key)?.replicaId, ranked[0]?.replicaId);
      assert.deepEqual(reversed.rank(key), ranked);
      for (const count of [0, 1, 2, 3]) assert.deepEqual(placement.rank(key, count), ranked.slice(0, count));
    }),
  );
});

test("Rendezvous.owner: without some replicas, it is the first of rank that is none of them", () => {
  fc.assert(
    fc.property(someIds, fc.array(fc.nat(), { maxLength: 12 }), fc.string(), (ids, picks, key) => {
      const placement = new Rendezvous(replicas(...ids));
      const skipped = picks.map((pick) => ids[pick % ids.length] as string);
      const expected = placement.rank(key).find(({ replicaId }) => !skipped.includes(replicaId));
      assert.equal(placement.owner(key, skipped), expected);
    }),
  );
});

for (const size of [10, 100, 1000]) {
  test(`Rendezvous.rank: for two names of ${size}, it moves a replica about 2 ln(${size}) times, and sorts none`, () => {
    const placement = new Rendezvous(replicas(...Array.from({ length: size }, (_, index) => `r${index}`)));
    const keys = 1000;
    for (let index = 0; index < keys; index += 1) placement.rank(chunkPrefix + index, 2);
    const movesEach = placement.stats.moves / keys;
    assert.ok(movesEach <= 2 * Math.log(size), `${movesEach} moves`);
  });
}

test("Rendezvous: a replica that goes leaves the order of the others as it was, and one that joins too", () => {
  fc.assert(
    fc.property(someIds, fc.nat(), fc.string({ maxLength: 100 }), (ids, pick, key) => {
      const gone = ids[pick % ids.length] as string;
      const before = new Rendezvous(replicas(...ids)).rank(key);
      const after = new Rendezvous(replicas(...ids.filter((id) => id !== gone))).rank(key);
      assert.deepEqual(
        after,
        before.filter(({ replicaId }) => replicaId !== gone),
      );
    }),
  );
});

test("Rendezvous: chunks of one object are spread evenly (chi-squared, 9 degrees of freedom)", () => {
  const ids = Array.from({ length: 10 }, (_, index) => `replica-${index}`);
  const placement = new Rendezvous(replicas(...ids));
  const keys = 20_000;
  const counts = new Map<string, number>();
  for (let index = 0; index < keys; index += 1) {
    const owner = placement.owner(chunkPrefix + index)?.replicaId ?? "";
    counts.set(owner, (counts.get(owner) ?? 0) + 1);
  }
  const expected = keys / ids.length;
  let chiSquared = 0;
  for (const id of ids) chiSquared += ((counts.get(id) ?? 0) - expected) ** 2 / expected;
  // Even spreading passes this one time in a thousand.
  assert.ok(chiSquared < 27.9, `chi-squared is ${chiSquared}`);
});

test("Rendezvous: those who lose their owner are spread evenly over the others (chi-squared, 3 degrees)", () => {
  const placement = new Rendezvous(replicas("r1", "r2", "r3", "r4", "r5"));
  const seconds = new Map<string, number>();
  let moved = 0;
  for (let index = 0; index < 20_000; index += 1) {
    const [first, second] = placement.rank(chunkPrefix + index, 2);
    if (first?.replicaId !== "r3") continue;
    moved += 1;
    const heir = second?.replicaId ?? "";
    seconds.set(heir, (seconds.get(heir) ?? 0) + 1);
  }
  let chiSquared = 0;
  for (const count of seconds.values()) chiSquared += (count - moved / 4) ** 2 / (moved / 4);
  assert.equal(seconds.size, 4);
  assert.ok(chiSquared < 16.3, `chi-squared is ${chiSquared}`);
});

test("Rendezvous.owner: takes less than 2 µs for ten replicas", () => {
  const ids = Array.from({ length: 10 }, (_, index) => `replica-${index}`);
  const placement = new Rendezvous(replicas(...ids));
  const paths = Array.from({ length: 1024 }, (_, index) => chunkPrefix + index);
  const rounds = 100;
  let bestNs = Infinity;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const before = process.threadCpuUsage();
    for (let round = 0; round < rounds; round += 1) for (const path of paths) placement.owner(path);
    // What this thread took of the CPU, whatever else the machine does meanwhile.
    const { user, system } = process.threadCpuUsage(before);
    bestNs = Math.min(bestNs, ((user + system) * 1e3) / (rounds * paths.length));
  }
  // About 0.2 µs on an idle core.
  assert.ok(bestNs < 2000, `${bestNs} ns`);
});
