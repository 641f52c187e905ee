import assert from "node:assert/strict";
import { connect as connectHttp2 } from "node:http2";
import { type TestContext, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { FillChunkRequestSchema } from "../../gen/orca/v1/fill_pb.ts";
import { HeadObjectRequestSchema } from "../../gen/orca/v1/object_pb.ts";
import { enveloped } from "../../src/mesh/fill-chunk/envelope.ts";
import { fillChunkPath } from "../../src/mesh/fill-chunk/fill-chunk-handler.ts";
import { requestIdHeader } from "../../src/mesh/session/peer-request-ids.ts";
import { traceSteps } from "../../src/trace/trace-steps.ts";
import { startReplicas } from "../support/replica-cluster.ts";
import {
  type ReplicaFixture,
  type ReplicaFixtureOptions,
  startReplica,
  testBucket,
} from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { namesOf, stepsOf, type TracedStep } from "../support/traced-steps.ts";
import { until } from "../support/until.ts";

/** A replica before an origin that checks signatures. */
async function signedReplica(
  context: TestContext,
  options: ReplicaFixtureOptions = {},
): Promise<ReplicaFixture> {
  const credentials = { accessKey: "test", secretKey: "test-secret" };
  const origin = await S3Server.start({ buckets: [testBucket], credentials });
  const fixture = await startReplica({ disk: true, ...options, origin });
  context.after(async () => {
    await fixture.stop();
    await origin.stop();
  });
  return fixture;
}

interface TracedGet {
  readonly requestId: string;
  readonly steps: TracedStep[];
}

/** A GET to its end. Resolves with the id of the request and its steps, after its `last` one has come. */
async function tracedGet(
  fixture: ReplicaFixture,
  key: string,
  last: string = "response",
): Promise<TracedGet> {
  const response = await fixture.get(key);
  await response.arrayBuffer();
  const requestId = response.headers.get("x-amz-request-id") ?? "";
  await until(() => {
    const names = namesOf(stepsOf(fixture.logger, requestId));
    return names.includes(last) && names.includes("response");
  });
  return { requestId, steps: stepsOf(fixture.logger, requestId) };
}

/** As {@link tracedGet}, of a new object. Its last bytes leave the origin after the first ones can be sent. */
async function coldGet(
  fixture: ReplicaFixture,
  filling: ReplicaFixture,
  key: string,
  last?: string,
): Promise<TracedGet> {
  fixture.origin.put(testBucket, key, { seed: 1, sizeBytes: 1000 });
  const gate = fixture.origin.hold("GET", key, 500);
  const answer = tracedGet(fixture, key, last);
  await until(() =>
    stepsOf(filling.logger).some((each) => each.step === "first_bytes" && each["key"] === key),
  );
  gate.release();
  return answer;
}

/** The end of a response is seen by its socket, and may come at any time after the first bytes. */
function withoutResponse(steps: readonly TracedStep[]): string[] {
  return namesOf(steps).filter((name) => name !== "response");
}

const fixedFields = { object: ["originId", "bucket", "key"], client: ["bucket", "key"] } as const;

function assertFields(steps: readonly TracedStep[]): void {
  const chunk = [...fixedFields.object, "index", "etag"];
  for (const { step, requestId: _, ...fields } of steps) {
    const { about, fields: own } = traceSteps[step as keyof typeof traceSteps];
    const isChunk = about === "chunk" || (about === "either" && "index" in fields);
    const fixed = about === "client" ? fixedFields.client : isChunk ? chunk : fixedFields.object;
    for (const name of fixed) assert.ok(name in fields, `${step} has ${name}`);
    const known = new Set<string>([...fixed, ...own]);
    assert.deepEqual(
      Object.keys(fields).filter((name) => !known.has(name)),
      [],
      `${step} has fields that are not in the table`,
    );
    const { etag = "" } = fields as { readonly etag?: string };
    assert.ok(etag.length <= 8, "no whole ETag is logged");
  }
}

/** Without the listings by which replicas look at their bucket after the start. */
function objectRequests({ requests }: S3Server): S3Server["requests"] {
  return requests.filter(({ operation }) => operation !== "LIST");
}

test("trace: a cold GET, step by step, and its id at an origin that checks signatures", async (context) => {
  const fixture = await signedReplica(context);
  const { requestId, steps } = await coldGet(fixture, fixture, "k", "commit_result");
  assert.deepEqual(withoutResponse(steps), [
    "request",
    "metadata_ask",
    "permit",
    "origin_attempt",
    "plan",
    "first_bytes",
    "origin_result",
    "commit",
    "commit_result",
  ]);
  assertFields(steps);
  const agent = `orca (request ${requestId})`;
  assert.deepEqual(
    objectRequests(fixture.origin).map(({ operation, status, userAgent }) => [operation, status, userAgent]),
    [["GET", 206, agent]],
  );
});

test("trace: a warm GET asks nobody", async (context) => {
  const fixture = await signedReplica(context);
  await coldGet(fixture, fixture, "k", "commit_result");
  const { steps } = await tracedGet(fixture, "k");
  assert.deepEqual(namesOf(steps), ["request", "metadata_hit", "plan", "first_bytes", "response"]);
  assert.deepEqual([steps[1]?.["result"], steps[3]?.["source"]], ["found", "memory"]);
  assertFields(steps);
});

test("trace: a GET that joins a look-up names the request that asked", async (context) => {
  const fixture = await signedReplica(context);
  fixture.origin.put(testBucket, "k", { seed: 1, sizeBytes: 1000 });
  const gate = fixture.origin.hold("GET", "k");
  const leader = tracedGet(fixture, "k");
  await gate.reached;
  const joiner = tracedGet(fixture, "k");
  await until(() => stepsOf(fixture.logger).some(({ step }) => step === "metadata_join"));
  gate.release();
  const { requestId } = await leader;
  const { steps } = await joiner;
  assert.deepEqual(namesOf(steps.slice(0, 3)), ["request", "metadata_join", "plan"]);
  assert.equal(steps[1]?.["leaderId"], requestId);
  assertFields(steps);
});

test("trace: nothing is logged for a step at a level above debug", async (context) => {
  const fixture = await signedReplica(context);
  fixture.logger.isDebug = false;
  fixture.origin.put(testBucket, "k", { seed: 1, sizeBytes: 1000 });
  await (await fixture.get("k")).arrayBuffer();
  await (await fixture.get("k")).arrayBuffer();
  assert.deepEqual(stepsOf(fixture.logger), []);
});

/** Whether `count` questions of a GET have ended with this step. */
function ended({ logger }: ReplicaFixture, name: string, count: number, requestId: string): boolean {
  return stepsOf(logger, requestId).filter(({ step }) => step === name).length === count;
}

/** A key of which `coordinator` coordinates both the metadata and the only chunk, asked for through `assembler`. */
async function throughPeer(assembler: ReplicaFixture, coordinator: ReplicaFixture): Promise<TracedGet> {
  for (let index = 0; index < 64; index += 1) {
    assembler.origin.put(testBucket, `k${index}`, { seed: 1, sizeBytes: 1000 });
    const { requestId, steps } = await tracedGet(assembler, `k${index}`);
    if (steps.filter(({ step }) => step === "peer_attempt").length < 2) continue;
    await until(
      () =>
        ended(assembler, "peer_success", 2, requestId) && ended(coordinator, "origin_result", 1, requestId),
    );
    return { requestId, steps: stepsOf(assembler.logger, requestId) };
  }
  return assert.fail("no key of 64 belongs to the other replica");
}

test("trace: one request id tells the story on both replicas and at the origin", async (context) => {
  const cluster = await startReplicas({ replicas: 2, tls: false });
  context.after(() => cluster.stop());
  const [assembler, coordinator] = cluster.replicas;
  assert.ok(assembler && coordinator);
  const { requestId, steps } = await throughPeer(assembler, coordinator);
  // Bytes this few come in one piece, so their first one and the end of the attempt are not in a fixed order.
  const told = withoutResponse(steps);
  assert.deepEqual(
    told.filter((name) => name !== "first_bytes"),
    [
      "request",
      "metadata_ask",
      "peer_attempt",
      "peer_success",
      "plan",
      "coordinator",
      "peer_attempt",
      "peer_success",
    ],
  );
  assert.ok(told.indexOf("first_bytes") > told.lastIndexOf("peer_attempt"));
  const asked = stepsOf(coordinator.logger, requestId);
  const ordered = namesOf(asked).filter((name) => name !== "first_bytes" && name !== "flight_join");
  assert.deepEqual(
    ordered.filter((name) => name !== "origin_result"),
    ["peer_request", "metadata_ask", "permit", "origin_attempt", "peer_request"],
  );
  assert.equal(ordered.filter((name) => name === "origin_result").length, 1);
  for (const each of [steps, asked]) assertFields(each);
  const agents = cluster.origin.requests
    .filter(({ key }) => key === steps[0]?.["key"])
    .map(({ userAgent }) => userAgent);
  assert.deepEqual(agents, [`orca (request ${requestId})`]);
});

function objectOf(key: string) {
  return { originId: "test", bucket: testBucket, objectKey: key };
}

/** One call to a mesh listener, with `requestId` as its id. Resolves with its HTTP status. */
async function rawCall(
  address: string,
  path: string,
  requestId: string,
  body: Uint8Array,
  type: string,
): Promise<number> {
  const session = connectHttp2(`http://${address}`);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": type,
      "connect-protocol-version": "1",
      [requestIdHeader]: requestId,
    });
    stream.end(body);
    const status = Promise.withResolvers<number>();
    stream.on("response", (headers) => status.resolve(Number(headers[":status"]))).on("error", status.reject);
    await stream.resume().toArray();
    return await status.promise;
  } finally {
    session.destroy();
  }
}

test("trace: a peer's id that is long or not printable is replaced, and neither logged nor sent on", async (context) => {
  const cluster = await startReplicas({ replicas: 2, tls: false });
  context.after(() => cluster.stop());
  const badIds = ["x".repeat(65), "a b", "caf\u00e9", ""];
  const goodIds = ["y".repeat(64), "a(b)\\c"];
  for (const [index, requestId] of [...badIds, ...goodIds].entries()) {
    const key = `k${index}`;
    cluster.origin.put(testBucket, key, { seed: 1, sizeBytes: 1000 });
    const head = toBinary(
      HeadObjectRequestSchema,
      create(HeadObjectRequestSchema, { object: objectOf(key) }),
    );
    const chunkKey = { ...objectOf(key), etag: "e", chunkSize: 8_388_608n, chunkIndex: 0n };
    const fill = toBinary(
      FillChunkRequestSchema,
      create(FillChunkRequestSchema, { chunkKey, objectSize: 1000n, length: 10n }),
    );
    for (const address of cluster.meshAddresses) {
      await rawCall(address, "/orca.v1.ObjectService/HeadObject", requestId, head, "application/proto");
      await rawCall(address, fillChunkPath, requestId, enveloped(0, fill), "application/connect+proto");
    }
  }
  const asked = cluster.replicas
    .flatMap(({ logger }) => stepsOf(logger))
    .filter(({ step }) => step === "peer_request");
  assert.equal(asked.length, 4 * (badIds.length + goodIds.length));
  for (const replica of cluster.replicas) {
    for (const { requestId } of stepsOf(replica.logger)) {
      assert.ok(goodIds.includes(requestId) || /^[0-9A-F]{16}$/.test(requestId), requestId);
    }
  }
  for (const goodId of goodIds) assert.equal(asked.filter(({ requestId }) => requestId === goodId).length, 4);
  const agents = objectRequests(cluster.origin).map(({ userAgent }) => userAgent ?? "");
  for (const agent of agents)
    assert.match(agent, /^orca \(request (?:[0-9A-F]{16}|y{64}|a\\\(b\\\)\\\\c)\)$/);
  // The coordinators of the object and of the chunk ask, once each.
  assert.equal(agents.filter((agent) => agent.includes("y".repeat(64))).length, 2);
});
