/** `x-amz-request-payer` of a client: Orca pays for what it fetches, so no client is charged, and none is told that it is. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { httpGet } from "../support/http-get.ts";
import { startReplica, testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";

const payer = "x-amz-request-payer";
const charged = "x-amz-request-charged";

/** A replica, and what the origin is told of the payer by each request. */
async function start(context: TestContext, requestPayer: boolean) {
  const origin = await S3Server.start({ buckets: [testBucket] });
  origin.put(testBucket, "k", { seed: 1, sizeBytes: 100, headers: { [charged]: "requester" } });
  const awss3 = { bucket: testBucket, endpoint: origin.endpoint, use_path_style: true };
  const settings = { origin: { awss3: { ...awss3, request_payer: requestPayer } } };
  const fixture = await startReplica({ origin, settings });
  context.after(async () => {
    await fixture.stop();
    await origin.stop();
  });
  await until(() => origin.count("LIST") === 1 && origin.inFlight === 0);
  origin.forgetRequests();
  /** Each read twice: from the origin, and from the cache. */
  const readAll = async (headers: Record<string, string>): Promise<void> => {
    for (const target of ["/k", "/k", "?list-type=2", "?list-type=2", "?location"]) {
      const answer = await httpGet(`${fixture.endpoint}/${testBucket}${target}`, headers);
      await answer.text();
      assert.deepEqual([answer.status, answer.headers.get(charged)], [200, null], target);
    }
  };
  const told = (): (string | undefined)[] => origin.requests.map(({ headers }) => headers[payer] as string);
  return { readAll, told };
}

test("x-amz-request-payer: the client's own does not reach the origin, and its answer charges nobody", async (context) => {
  const { readAll, told } = await start(context, false);
  await readAll({ [payer]: "requester" });
  // The object, the listing, and the question whether the bucket is there.
  assert.deepEqual(told(), [undefined, undefined, undefined]);
});

test("x-amz-request-payer: with request_payer Orca pays, also for clients that do not offer to", async (context) => {
  const { readAll, told } = await start(context, true);
  await readAll({});
  assert.deepEqual(told(), ["requester", "requester", "requester"]);
});
