/** ListBuckets page by page. What AWS answers is as LocalStack recorded it (TestS3ListBuckets). */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { paginateListBuckets, S3Client } from "@aws-sdk/client-s3";
import { type ReplicaFixture, startReplica } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const others = Array.from({ length: 20 }, (_, index) => `other-${String(index).padStart(2, "0")}`);
const all = ["Zoo", "models", "models-old", ...others];

let origin: S3Server;
let orca: ReplicaFixture;

before(async () => {
  origin = await S3Server.start({ buckets: [...others, "models"] });
  const buckets = { "models-old": { bucket: "models" }, Zoo: { bucket: "models" }, "*": {} };
  orca = await startReplica({ origin, settings: { origin: { buckets } } });
  await until(() => origin.count("LIST_BUCKETS") === 1 && origin.inFlight === 0);
  origin.forgetRequests();
});
after(async () => {
  await orca.stop();
  await origin.stop();
});

async function list(query: string) {
  const response = await fetch(`${orca.endpoint}/${query}`);
  const xml = await response.text();
  const texts = (name: string): string[] =>
    [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map(([, text = ""]) => text);
  return {
    status: response.status,
    names: texts("Name"),
    regions: texts("BucketRegion"),
    prefixes: texts("Prefix"),
    tokens: texts("ContinuationToken"),
    error: [...texts("Code"), ...texts("Message"), ...texts("ArgumentName"), ...texts("ArgumentValue")],
  };
}

test("ListBuckets: without parameters the list is whole and sorted, and tells no regions", async () => {
  const whole = await list("");
  assert.deepEqual(whole.names, all);
  assert.deepEqual([whole.regions, whole.prefixes, whole.tokens], [[], [], []]);
});

test("ListBuckets: the pages of the AWS SDK hold each bucket once, at one question to the origin", async () => {
  const credentials = { accessKeyId: "any", secretAccessKey: "any" };
  const client = new S3Client({
    endpoint: orca.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
  });
  for (const pageSize of [1, 5, 23, 10_000]) {
    const seen: (string | undefined)[] = [];
    let pages = 0;
    for await (const page of paginateListBuckets({ client, pageSize }, {})) {
      seen.push(...(page.Buckets ?? []).map(({ Name }) => Name));
      assert.ok((page.Buckets ?? []).every(({ BucketRegion }) => BucketRegion === "us-east-1"));
      pages += 1;
    }
    assert.deepEqual(seen, all);
    assert.equal(pages, Math.ceil(all.length / pageSize));
  }
  client.destroy();
  assert.equal(origin.requests.length, 1);
});

test("ListBuckets: a prefix counts upper and lower case, and is repeated", async () => {
  const found = await list("?prefix=models");
  assert.deepEqual([found.names, found.prefixes], [["models", "models-old"], ["models"]]);
  assert.deepEqual(found.regions, ["us-east-1", "us-east-1"]);
  const none = await list("?prefix=MODELS");
  assert.deepEqual([none.status, none.names, none.prefixes], [200, [], ["MODELS"]]);
});

test("ListBuckets: an empty token is none, and one of another prefix is 400", async () => {
  const first = await list("?max-buckets=1&continuation-token=");
  assert.deepEqual(first.names, ["Zoo"]);
  const [token = ""] = first.tokens;
  assert.deepEqual((await list(`?max-buckets=1&continuation-token=${token}`)).names, ["models"]);
  const other = await list(`?prefix=m&continuation-token=${token}`);
  assert.equal(other.status, 400);
  assert.deepEqual(other.error, [
    "InvalidArgument",
    "The continuation token provided is incorrect",
    "continuation-token",
    token,
  ]);
});

test("ListBuckets: max-buckets is 1 to 10,000", async () => {
  for (const value of ["0", "-1", "10001"]) {
    const { status, error } = await list(`?max-buckets=${value}`);
    const message = "Argument max-buckets must be an integer between 1 and 10000";
    assert.deepEqual([status, ...error], [400, "InvalidArgument", message, "max-buckets", value]);
  }
});
