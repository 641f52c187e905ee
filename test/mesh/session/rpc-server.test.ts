/** Bounds of calls in progress: bodies that do not end, and answers that nobody takes. */
import assert from "node:assert/strict";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from "node:http2";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { MembershipService, PingResponseSchema } from "../../../gen/orca/v1/membership_pb.ts";
import { ObjectService } from "../../../gen/orca/v1/object_pb.ts";
import { KiB, MiB } from "../../../src/base/units.ts";
import { messageBytesMax, pingBytesMax, requestBytesMax } from "../../../src/mesh/session/http2-limits.ts";
import { type MeshFixture, membershipOf, meshFixture } from "../../support/mesh-fixture.ts";
import { meshMember } from "../../support/mesh-member.ts";
import { until } from "../../support/until.ts";

const syncPath = "/orca.v1.MembershipService/Sync";
const pingPath = "/orca.v1.MembershipService/Ping";
const headPath = "/orca.v1.ObjectService/HeadObject";

function connect(context: TestContext, port: number): ClientHttp2Session {
  // By default, Node's client resets streams when ten megabytes wait to be sent.
  const session = connectHttp2(`http://127.0.0.1:${port}`, { maxSessionMemory: 1000 });
  session.on("error", () => undefined);
  context.after(() => session.destroy());
  return session;
}

/** A call whose body is not ended. `status` is what it was answered. */
function post(session: ClientHttp2Session, path: string, type = "application/proto"): Call {
  const stream = session
    .request({ ":method": "POST", ":path": path, "content-type": type })
    .on("error", () => undefined);
  const call: Call = { stream, status: undefined, grpcStatus: undefined, text: "" };
  stream.on("response", (headers) => {
    call.status = headers[":status"];
    call.grpcStatus = headers["grpc-status"];
  });
  stream.on("trailers", (headers) => void (call.grpcStatus = headers["grpc-status"]));
  stream.on("data", (slice: Buffer) => void (call.text += slice.toString()));
  return call;
}

interface Call {
  readonly stream: ClientHttp2Stream;
  status: number | undefined;
  grpcStatus: unknown;
  text: string;
}

async function serveViews(
  fixture: MeshFixture,
  options: Parameters<MeshFixture["serve"]>[0] = {},
): Promise<Awaited<ReturnType<MeshFixture["serve"]>>> {
  return fixture.serve({
    routes: (router) => {
      router.rpc(MembershipService.method.ping, ({ targetId }) =>
        create(PingResponseSchema, { responder: { replicaId: targetId } }),
      );
      router.rpc(MembershipService.method.sync, () => ({}), { readMaxBytes: messageBytesMax });
      router.rpc(ObjectService.method.headObject, () => ({}));
    },
    ...options,
  });
}

test("RpcServer: a body that does not end is answered at its deadline, and its stream is closed", async (context) => {
  const fixture = meshFixture(context);
  const { server, port } = await serveViews(fixture);
  const session = connect(context, port);
  const calls = [
    post(session, pingPath),
    post(session, pingPath, "application/grpc"),
    post(session, syncPath),
  ];
  for (const { stream } of calls) stream.write(Buffer.alloc(3));
  await until(() => server.rpc.bodyBytes > 3 * 3);
  await fixture.clock.advance(4999);
  assert.equal(server.rpc.stats.bodyLate, 0);
  await fixture.clock.advance(1);
  await until(() => calls.every(({ status }) => status !== undefined));
  const [ping, grpc, sync] = calls as [Call, Call, Call];
  await until(() => grpc.grpcStatus !== undefined && sync.text !== "" && ping.text !== "");
  assert.deepEqual([ping.status, grpc.status, sync.status], [504, 200, 504]);
  assert.equal(grpc.grpcStatus, "4");
  assert.match(ping.text, /deadline_exceeded.*did not end within 5000 ms/);
  assert.equal(server.rpc.bodyBytes, 0);
  assert.equal(server.rpc.stats.bodyLate, 3);
  await until(() => fixture.clock.pendingTimers >= 3);
  await fixture.clock.advance(1000);
  await until(() => calls.every(({ stream }) => stream.closed));
  assert.equal(session.destroyed, false);
  assert.equal(server.stats.requestsFailed, 0);
});

test("RpcServer: 100 unfinished bodies of 1 MiB hold their session's share, and others are served", async (context) => {
  const fixture = meshFixture(context);
  const bodyBytesPerSessionMax = 4 * MiB;
  const { server, port, address } = await serveViews(fixture, { rpcLimits: { bodyBytesPerSessionMax } });
  const session = connect(context, port);
  const calls = Array.from({ length: 100 }, () => post(session, syncPath));
  const body = Buffer.alloc(MiB);
  let bytesMax = 0;
  for (const { stream } of calls) stream.write(body);
  const answered = (): number => calls.filter(({ status }) => status !== undefined).length;
  await until(() => {
    bytesMax = Math.max(bytesMax, server.rpc.bodyBytes);
    return answered() > 80;
  });
  assert.ok(bytesMax <= bodyBytesPerSessionMax + 64 * KiB, `${bytesMax} bytes`);
  assert.deepEqual(new Set(calls.map(({ status }) => status)), new Set([undefined, 429]));
  assert.ok(await membershipOf(fixture.peers(), address).ping({}));
  await fixture.clock.advance(5000);
  await until(() => answered() === 100);
  await until(() => server.rpc.bodyBytes === 0);
});

test("RpcServer: over all sessions together the bytes of bodies are bounded, too", async (context) => {
  const fixture = meshFixture(context);
  const bodyBytesMax = 3 * MiB;
  const { server, port } = await serveViews(fixture, {
    rpcLimits: { bodyBytesMax, bodyBytesPerSessionMax: 1.5 * MiB },
  });
  const calls = Array.from({ length: 8 }, () => post(connect(context, port), syncPath));
  let bytesMax = 0;
  for (const { stream } of calls) stream.write(Buffer.alloc(MiB));
  const rejected = (): number => calls.filter(({ status }) => status === 429).length;
  await until(() => {
    bytesMax = Math.max(bytesMax, server.rpc.bodyBytes);
    return rejected() >= 5;
  });
  assert.ok(bytesMax <= bodyBytesMax + 64 * KiB, `${bytesMax} bytes`);
  assert.ok(server.rpc.stats.overBudget >= 5);
});

test("RpcServer: a body of single bytes is counted with what each slice costs", async (context) => {
  const fixture = meshFixture(context);
  const { server, port } = await serveViews(fixture, { rpcLimits: { bodyBytesPerSessionMax: 64 * KiB } });
  const call = post(connect(context, port), syncPath);
  const drip = (): void => {
    if (call.status === undefined && !call.stream.destroyed) call.stream.write(Buffer.alloc(1), drip);
  };
  drip();
  await until(() => call.status === 429);
  assert.equal(server.rpc.stats.overBudget, 1);
});

test("RpcServer: bodies over their number are rejected", async (context) => {
  const fixture = meshFixture(context);
  const { server, port } = await serveViews(fixture, { rpcLimits: { bodiesMax: 2 } });
  const session = connect(context, port);
  const calls = [post(session, syncPath), post(session, syncPath), post(session, syncPath)];
  for (const { stream } of calls) stream.write(Buffer.alloc(1));
  await until(() => calls[2]?.status === 429);
  for (const { stream } of calls.slice(0, 2)) stream.end();
  await until(() => server.rpc.bodyBytes === 0);
  const again = post(session, pingPath);
  again.stream.end();
  await until(() => again.status === 200);
});

test("RpcServer: only an exchange of views may be large", async (context) => {
  const fixture = meshFixture(context);
  const { address } = await meshMember(context, fixture, "r1");
  const session = connect(context, Number(address.split(":")[1]));
  const sizes: readonly [string, number][] = [
    [pingPath, pingBytesMax],
    ["/orca.v1.MembershipService/PingIndirect", pingBytesMax],
    [syncPath, messageBytesMax],
  ];
  for (const [path, bytesMax] of sizes) {
    const large = post(session, path);
    large.stream.write(Buffer.alloc(bytesMax + 1));
    await until(() => large.status === 429);
  }
  const other = await serveViews(fixture);
  const head = post(connect(context, other.port), headPath);
  head.stream.write(Buffer.alloc(requestBytesMax + 1));
  await until(() => head.status === 429);
});

test("RpcServer: a length that is only promised reserves nothing", async (context) => {
  const fixture = meshFixture(context);
  const { server, port } = await serveViews(fixture);
  const session = connect(context, port);
  const stream = session.request({
    ":method": "POST",
    ":path": syncPath,
    "content-type": "application/proto",
    "content-length": String(MiB),
  });
  stream.on("error", () => undefined).write(Buffer.alloc(1));
  await until(() => server.rpc.bodyBytes > 0);
  assert.ok(server.rpc.bodyBytes < KiB);
});

test("RpcServer: answers that nobody takes are bounded in bytes and in time", async (context) => {
  const fixture = meshFixture(context);
  const settings = { "a.setting": "x".repeat(MiB) };
  const { server, port, address } = await fixture.serve({
    routes: (router) =>
      router.service(MembershipService, {
        sync: () => ({ settings }),
        ping: () => create(PingResponseSchema, {}),
      }),
    rpcLimits: { answerBytesPerSessionMax: 8 * MiB },
  });
  const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 0 } });
  session.on("error", () => undefined);
  context.after(() => session.destroy());
  const streams = Array.from({ length: 20 }, () => {
    const stream = session
      .request({ ":method": "POST", ":path": syncPath, "content-type": "application/proto" })
      .on("error", () => undefined);
    return stream.end();
  });
  await until(() => streams.filter(({ closed }) => closed).length === 13);
  assert.equal(server.rpc.stats.overBudget, 13);
  assert.equal(streams.find(({ closed }) => closed)?.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  assert.ok(await membershipOf(fixture.peers(), address).ping({}));
  await fixture.clock.advance(30_000);
  await until(() => streams.every(({ closed }) => closed));
  assert.equal(server.rpc.stats.answerLate, 7);
  assert.equal(server.rpc.answerBytes, 0);
});
