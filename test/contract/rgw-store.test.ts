/** The S3 cachestore on Ceph RGW where that is installed; elsewhere on the stand-in, and the suite's name says so. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import { S3CachestoreFixture } from "../store/cachestore/s3/s3-cachestore-fixture.ts";
import { refOf } from "../store/disk/disk-fixture.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { rgwAvailable, startRgw } from "../support/rgw.ts";
import { startSignedS3Server } from "../support/s3-fixture.ts";
import { storeContract } from "./store.ts";

const rgw = rgwAvailable() ? await startRgw() : undefined;
const server = rgw ?? (await startSignedS3Server());
after(() => server.stop());
let buckets = 0;

function openBucket(): Promise<S3CachestoreFixture> {
  buckets += 1;
  return S3CachestoreFixture.open(server, `chunks-${buckets}`);
}

storeContract(
  rgw ? "S3Cachestore on Ceph RGW" : "S3Cachestore on the in-repo S3 server, for want of radosgw on the PATH",
  async () => {
    const fixture = await openBucket();
    return {
      store: await fixture.guarded(),
      budget: fixture.budget,
      clock: fixture.clock,
      cleanup: () => fixture.close(),
    };
  },
);

if (rgw) {
  test("S3Cachestore on Ceph RGW: of two puts through two gateways, one stores", async () => {
    const fixture = await openBucket();
    const stores = [await fixture.store(), await fixture.store({ endpoint: await rgw.addGateway() })];
    for (let index = 0; index < 16; index += 1) {
      const ref = refOf("race", 16 * MiB, index, MiB);
      const results = await Promise.all(stores.map((store) => fixture.put(store, ref)));
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
    const ref = refOf("missized", 3000);
    await fixture.lay(ref, Buffer.alloc(2999));
    assert.equal(await store.readBlock(ref, 0, Buffer.alloc(3000)), false);
    const driver = await fixture.store();
    assert.equal(await fixture.put(driver, ref), "stored");
    assert.equal((await fixture.look(ref))?.body.length, 3000);
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
