import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import { Membership } from "../../src/membership/membership.ts";
import { type Seeds, ServiceSeeds } from "../../src/membership/seeds.ts";
import { addressOf, agreedSettings, ClusterFixture } from "../support/membership-fixture.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { StallableClock } from "../support/stallable-clock.ts";

/** A replica outside the fixture's list, with seeds of its own. */
function joining(
  cluster: ClusterFixture,
  seeds: Seeds,
  address = addressOf("joining"),
): { membership: Membership; logger: RecordedLogger } {
  const clock = new StallableClock(cluster.clock);
  const logger = new RecordedLogger();
  const membership = new Membership({
    replicaId: "joining",
    address,
    zone: "",
    agreedSettings,
    seeds: [seeds],
    transport: cluster.network.transport(address, clock),
    clock,
    random: new SeededRandom(7),
    logger,
  });
  cluster.network.attach({ address, clock, membership });
  return { membership, logger };
}

test("ServiceSeeds: returns each address of the name, with one port", async () => {
  const names: string[] = [];
  const seeds = new ServiceSeeds("orca.default.svc", 8444, (name) => {
    names.push(name);
    return Promise.resolve(["10.0.0.1", "fd00::1"]);
  });
  assert.deepEqual(await seeds.addresses(), ["10.0.0.1:8444", "[fd00::1]:8444"]);
  assert.deepEqual(names, ["orca.default.svc"]);
});

test("Membership.start: resolves when it has joined", async () => {
  const cluster = await ClusterFixture.running(3);
  const { membership } = joining(cluster, { addresses: () => Promise.resolve([addressOf("r2")]) });
  let joined = false;
  const starting = membership.start().then(() => (joined = true));
  await cluster.clock.advance(200);
  assert.ok(joined);
  await starting;
  assert.equal(membership.live.length, 4);
  membership.stop();
  cluster.stop();
});

test("Discovery: an unknown name is looked up every second while the replica is alone", async () => {
  const cluster = await ClusterFixture.running(3);
  let lookups = 0;
  const { membership, logger } = joining(cluster, {
    addresses: () => {
      lookups += 1;
      return lookups <= 3 ? Promise.reject(new Error("ENOTFOUND")) : Promise.resolve([addressOf("r1")]);
    },
  });
  void membership.start();
  await cluster.clock.advance(3500);
  assert.equal(membership.live.length, 4);
  assert.equal(membership.stats.discovery.lookupsFailed, 3);
  // A name that stays unknown fails every second, and the counter tells how often.
  assert.equal(logger.count("warn"), 1);
  membership.stop();
  cluster.stop();
});

test("Discovery: a look-up that never answers times out and is repeated", async () => {
  const cluster = await ClusterFixture.running(3);
  const { membership } = joining(cluster, { addresses: () => new Promise(() => {}) });
  void membership.start();
  await cluster.clock.advance(13_000);
  assert.equal(membership.stats.discovery.lookupsFailed, 2);
  membership.stop();
  cluster.stop();
  await cluster.clock.advance(10_000);
  assert.equal(cluster.clock.pendingTimers, 0);
});

test("Discovery: an address that disappears from the seeds removes no member, and a known address is not contacted again", async () => {
  const cluster = await ClusterFixture.running(3);
  let addresses = ["r1", "r2", "r3", "joining"].map(addressOf);
  const { membership } = joining(cluster, { addresses: () => Promise.resolve(addresses) });
  void membership.start();
  await cluster.clock.advance(4000);
  const { syncs } = membership.stats.messenger;
  addresses = [];
  await cluster.clock.advance(60_000);
  assert.equal(membership.live.length, 4);
  assert.deepEqual(cluster.deaths, []);
  assert.ok(membership.stats.discovery.polls >= 12);
  // The reconciler exchanges views every 10 s.
  assert.ok(membership.stats.messenger.syncs - syncs <= 7);
  membership.stop();
  cluster.stop();
});

test("Discovery: a seed with another name than its replica advertises is contacted once while the replica lives", async () => {
  const cluster = await ClusterFixture.running(2);
  const first = cluster.replicas.get("r1");
  assert.ok(first);
  cluster.network.attach({ ...first, address: "alias.test:8444" });
  const { membership } = joining(cluster, { addresses: () => Promise.resolve(["alias.test:8444"]) });
  void membership.start();
  await cluster.clock.advance(60_000);
  assert.equal(membership.live.length, 3);
  assert.ok(membership.stats.messenger.syncs <= 8, `${membership.stats.messenger.syncs} exchanges`);
  membership.stop();
  cluster.stop();
});

test("Discovery: of two replicas with one id, each asks the other again and again, and logs it", async () => {
  const cluster = await ClusterFixture.running(1);
  const addresses = [addressOf("joining"), addressOf("twin")];
  const seeds = { addresses: () => Promise.resolve(addresses) };
  const twins = addresses.map((address) => joining(cluster, seeds, address));
  for (const { membership } of twins) {
    void membership.start();
    await cluster.clock.advance(2000);
  }
  await cluster.clock.advance(3000);
  for (const { membership, logger } of twins) {
    const lines = logger.events.filter(({ message }) =>
      message.startsWith(`Two replicas have the id "joining"`),
    );
    assert.equal(lines.length, 1, membership.self.address);
    assert.match(membership.notice ?? "", /has the id "joining" of this one/);
    membership.stop();
  }
  cluster.stop();
});
