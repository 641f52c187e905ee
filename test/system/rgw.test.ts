/** On a real S3 store: the origin's and the cachestore's contracts, a whole replica, and three with a store in trouble. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { originContract } from "../contract/origin.ts";
import { storeContract } from "../contract/store.ts";
import { cachestoreTroubles } from "../e2e/cachestore-troubles.ts";
import { readThroughS3 } from "../e2e/read-through.ts";
import { S3CachestoreFixture } from "../store/cachestore/s3/s3-cachestore-fixture.ts";
import { keyOf } from "../store/disk/disk-fixture.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { openS3Fixture, s3Traits } from "../support/s3-fixture.ts";
import { radosgw, suiteWith } from "./installed.ts";
import { troubledRgw } from "./troubled-rgw.ts";

let rgw: Rgw;
let buckets = 0;

function openBucket(): Promise<S3CachestoreFixture> {
  buckets += 1;
  return S3CachestoreFixture.open(rgw, `chunks-${buckets}`);
}

suiteWith(radosgw, "Ceph RGW", () => {
  before(async () => {
    rgw = await startRgw();
  });
  after(() => rgw?.stop());

  originContract("S3Origin on Ceph RGW", s3Traits, () => openS3Fixture({ ...rgw, stop: async () => {} }));
  storeContract("S3Cachestore on Ceph RGW", async () => {
    const fixture = await openBucket();
    const { budget, clock } = fixture;
    return { store: await fixture.guarded(), budget, clock, cleanup: () => fixture.close() };
  });
  realStore();
  test("replica in front of Ceph RGW: reads cold, warm, ranged and listed", () => readThroughS3(rgw));
  // It comes last, because it ends the gateway.
  cachestoreTroubles("Ceph RGW", async () => troubledRgw(rgw));
});

/** What the in-repo server cannot show. */
function realStore(): void {
  test("S3Cachestore on Ceph RGW: of two puts through two gateways, one stores", async () => {
    const fixture = await openBucket();
    const stores = [await fixture.store(), await fixture.store({ endpoint: await rgw.addGateway() })];
    for (let index = 0; index < 16; index += 1) {
      const key = keyOf("race", 16 * MiB, index, MiB);
      const results = await Promise.all(stores.map((store) => fixture.put(store, key)));
      assert.deepEqual(results.sort(), ["present", "stored"]);
    }
    assert.deepEqual(
      stores.map(({ putPolicy }) => putPolicy),
      ["conditional", "conditional"],
    );
    await fixture.close();
  });

  test("S3Cachestore on Ceph RGW: an object of the wrong size is a miss, and overwritten", async () => {
    const fixture = await openBucket();
    const store = await fixture.guarded();
    const key = keyOf("missized", 3000);
    await fixture.lay(key, Buffer.alloc(2999));
    assert.equal(await store.readBlock(key, 0, Buffer.alloc(3000)), false);
    const driver = await fixture.store();
    assert.equal(await fixture.put(driver, key), "stored");
    assert.equal((await fixture.look(key))?.body.length, 3000);
    await fixture.close();
  });

  for (const versioning of ["Enabled", "Suspended"] as const) {
    test(`S3Cachestore on Ceph RGW: a bucket whose versioning is ${versioning} is refused`, async () => {
      const fixture = await openBucket();
      await fixture.setVersioning(versioning);
      const { message } = await rejectsWith("config_invalid", fixture.unchecked().check());
      assert.match(message, new RegExp(`its versioning is ${versioning};`));
      await fixture.close();
    });
  }
}
