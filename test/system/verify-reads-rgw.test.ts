/** `npm run seed` and `orca verify-reads` together, on a real S3 store with a replica in front of it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { runSeed } from "../deploy/seed/seed-run.ts";
import { runOrca } from "../support/command-line.ts";
import { patternBytes } from "../support/pattern.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { radosgw, suiteWith } from "./installed.ts";

const bucket = "verified";

suiteWith(radosgw, "orca verify-reads on Ceph RGW", () => {
  let rgw: Rgw;
  let replica: Replica;
  let endpoint: string;
  let keys: Readonly<Record<string, string>>;

  before(async () => {
    rgw = await startRgw();
    keys = { ORCA_AWSS3_ACCESS_KEY: rgw.accessKey, ORCA_AWSS3_SECRET_KEY: rgw.secretKey };
    const store = ["--endpoint", rgw.endpoint, "--create"];
    for (const args of [
      ["--to", `s3://${bucket}/small é+`, "--count", "20", "--size", "100000"],
      ["--to", `s3://${bucket}/large`, "--count", "2", "--size", "40MiB", "--seed", "99"],
      ["--to", `s3://${bucket}/empty`, "--count", "2", "--size", "0"],
    ]) {
      const { exitCode, stderr } = await runSeed([...args, ...store], keys);
      assert.equal(exitCode, 0, stderr);
    }
    const awss3 = { bucket, endpoint: rgw.endpoint, use_path_style: true };
    const config = loadConfig({
      env: keys,
      overrides: {
        server: { listen: "127.0.0.1:0", ops_listen: "127.0.0.1:0" },
        origin: { id: "real", driver: "awss3", awss3 },
        memory: { max_bytes: "256MiB" },
      },
    });
    const logger = new RecordedLogger();
    replica = await Replica.open({ config, clock: new SystemClock(), random: new SeededRandom(1), logger });
    endpoint = `http://127.0.0.1:${(await replica.start()).s3.port}`;
  });
  after(async () => {
    await replica?.stop();
    await rgw?.stop();
  });

  async function verify(...args: readonly string[]) {
    const origin = `s3://${bucket}?endpoint=${encodeURIComponent(rgw.endpoint)}&path_style=true`;
    const common = ["--against", "origin", "--origin", origin, "--endpoint", endpoint, "--json"];
    const { exitCode, stdout, stderr } = await runOrca(
      ["verify-reads", `s3://${bucket}`, ...common, ...args],
      {
        clock: new SystemClock(),
        env: keys,
        stopSignal: () => Promise.withResolvers<string>().promise,
      },
    );
    return { exitCode, stderr, result: JSON.parse(stdout) };
  }

  test("what was seeded is served byte for byte, cold and warm", async () => {
    for (const _ of ["cold", "warm"]) {
      const { exitCode, stderr, result } = await verify("--clients", "6", "--ranges", "3");
      assert.equal(exitCode, 0, stderr);
      const { objects, whole_reads: wholes, range_reads: ranges, equal, changed } = result;
      assert.deepEqual(
        { objects, wholes, ranges, equal, changed },
        { objects: 24, wholes: 24, ranges: 66, equal: 90, changed: 0 },
      );
      assert.ok(result.bytes >= 82_000_000, `${result.bytes} bytes`);
    }
  });

  test("an object that was just overwritten counts as changed", async () => {
    const store = new S3Client({
      endpoint: rgw.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId: rgw.accessKey, secretAccessKey: rgw.secretKey },
    });
    const Body = patternBytes(4711, 0, 100_000);
    await store.send(new PutObjectCommand({ Bucket: bucket, Key: "small é+/000003", Body }));
    store.destroy();
    const { exitCode, result } = await verify("--ranges", "1");
    assert.deepEqual([exitCode, result.equal, result.changed], [0, 44, 2]);
  });
});
