/** `npm run seed` on a real S3 store: the same seed writes the same bytes, in one part and in several. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from "@aws-sdk/client-s3";
import { runSeed } from "../deploy/seed/seed-run.ts";
import { assertPattern } from "../support/pattern.ts";
import { type Rgw, startRgw } from "../support/rgw.ts";
import { radosgw, suiteWith } from "./installed.ts";

suiteWith(radosgw, "npm run seed on Ceph RGW", () => {
  let rgw: Rgw;
  let store: S3Client;

  before(async () => {
    rgw = await startRgw();
    store = new S3Client({
      endpoint: rgw.endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId: rgw.accessKey, secretAccessKey: rgw.secretKey },
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  });
  after(async () => {
    store?.destroy();
    await rgw?.stop();
  });

  async function contentsOf(Bucket: string): Promise<Map<string, Buffer>> {
    const { Contents = [] } = await store.send(new ListObjectsV2Command({ Bucket }));
    const contents = new Map<string, Buffer>();
    for (const { Key = "" } of Contents) {
      const { Body } = await store.send(new GetObjectCommand({ Bucket, Key }));
      contents.set(Key, Buffer.from((await Body?.transformToByteArray()) ?? []));
    }
    return contents;
  }

  function seed(...args: readonly string[]) {
    const env = { ORCA_AWSS3_ACCESS_KEY: rgw.accessKey, ORCA_AWSS3_SECRET_KEY: rgw.secretKey };
    return runSeed([...args, "--endpoint", rgw.endpoint, "--create"], env);
  }

  test("the same seed writes the same bytes", async () => {
    for (const bucket of ["first", "second"]) {
      const { exitCode, stdout } = await seed(
        "--to",
        `s3://${bucket}/a b`,
        "--count",
        "5",
        "--size",
        "70001",
        "--seed",
        "9",
      );
      assert.equal(stdout, `Wrote 5 objects of 68.4 KiB to s3://${bucket}/a b with seed 9\n`);
      assert.equal(exitCode, 0);
    }
    const first = await contentsOf("first");
    assert.deepEqual(first, await contentsOf("second"));
    assert.deepEqual(
      [...first.keys()],
      ["a b/000000", "a b/000001", "a b/000002", "a b/000003", "a b/000004"],
    );
    for (const [index, content] of [...first.values()].entries()) {
      assert.equal(content.length, 70_001);
      assertPattern(content, 9 + index, 0);
    }
  });

  test("an object of several parts is the same pattern, and no upload is left open", async () => {
    assert.equal((await seed("--to", "s3://parts", "--count", "2", "--size", "33MiB")).exitCode, 0);
    const contents = await contentsOf("parts");
    assert.deepEqual([...contents.keys()], ["000000", "000001"]);
    for (const [index, content] of [...contents.values()].entries()) {
      assert.equal(content.length, 33 * 1024 * 1024);
      assertPattern(content, 1 + index, 0);
    }
    const { Uploads = [] } = await store.send(new ListMultipartUploadsCommand({ Bucket: "parts" }));
    assert.deepEqual(Uploads, []);
  });
});
