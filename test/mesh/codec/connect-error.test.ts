import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import {
  ConfigurationMismatchSchema,
  ErrorDetailSchema,
  NotCoordinatorSchema,
} from "../../../gen/orca/v1/errors_pb.ts";
import { MemberState } from "../../../gen/orca/v1/membership_pb.ts";
import { AssertionFailure } from "../../../src/base/assert.ts";
import { errorTable } from "../../../src/base/error-table.ts";
import {
  type ErrorCode,
  type ErrorSource,
  OrcaError,
  type OrcaErrorOptions,
} from "../../../src/base/orca-error.ts";
import { ConfigurationMismatch } from "../../../src/membership/agreed-settings.ts";
import { NotCoordinator } from "../../../src/membership/not-coordinator.ts";
import { fromConnectError, type Subject, toConnectError } from "../../../src/mesh/codec/connect-error.ts";
import {
  endStreamEnvelope,
  endStreamError,
  grpcTrailers,
  readGrpcTrailers,
} from "../../../src/mesh/fill-chunk/envelope.ts";
import { anyText } from "../../support/any-text.ts";
import { memberOf } from "../../support/member-of.ts";
import { anyMember } from "./any-member.ts";

const action = "Cannot ask r2";
const codes = Object.keys(errorTable) as ErrorCode[];
const connectCodes = Object.values(Code).filter((code) => typeof code === "number");
const sources: readonly ErrorSource[] = ["client", "object", "fill", "disk", "origin", "membership", "mesh"];

/** `error` as the caller receives it, over each protocol. */
function received(error: ConnectError): OrcaError[] {
  return [
    endStreamError(endStreamEnvelope(error).subarray(5)),
    readGrpcTrailers(new Headers(grpcTrailers(error))).error,
  ].map((encoded) => fromConnectError(encoded, action));
}

function travelled(thrown: unknown, subject?: Subject): OrcaError[] {
  return received(toConnectError(thrown, subject));
}

/** An error as a newer peer may send it, with a code that this version does not know. */
function newer(code: Code, name = "origin_on_fire"): OrcaError {
  const value = { code: name, source: "stratosphere", message: "new" };
  const [error] = received(new ConnectError("new", code, undefined, [{ desc: ErrorDetailSchema, value }]));
  assert.ok(error);
  return error;
}

test("toConnectError, fromConnectError: the caller gets the code, source, message and time to wait of any error", () => {
  const anyError = fc.record({
    code: fc.constantFrom(...codes.filter((code) => code !== "not_coordinator")),
    source: fc.constantFrom(...sources),
    message: anyText({ maxLength: 200 }),
    retryAfterSeconds: fc.option(fc.nat(2 ** 32 - 1), { nil: undefined }),
  });
  fc.assert(
    fc.property(anyError, ({ code, source, message, retryAfterSeconds }) => {
      const options: OrcaErrorOptions = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
      for (const error of travelled(new OrcaError(code, source, message, options))) {
        assert.deepEqual(
          [error.code, error.source, error.message, error.retryAfterSeconds],
          [code, source, message, retryAfterSeconds],
        );
      }
    }),
  );
});

test("toConnectError: an invalid time to wait is left out, a fraction is rounded up", () => {
  for (const [given, expected] of [
    [1.2, 2],
    [0, 0],
    [1e12, 2 ** 32 - 1],
    [-1, undefined],
    [Number.NaN, undefined],
  ] as const) {
    const error = new OrcaError("origin_throttled", "origin", "slow down", { retryAfterSeconds: given });
    assert.equal(fromConnectError(toConnectError(error), action).retryAfterSeconds, expected);
  }
});

test("toConnectError: a long message is cut between two characters", () => {
  const [error] = travelled(new OrcaError("internal", "mesh", `x${"\u{1F40B}".repeat(1000)}`));
  assert.equal(error?.message, `x${"\u{1F40B}".repeat(255)}`);
});

test("toConnectError: other exceptions become internal, and an error of the transport gets a detail", () => {
  const [unknown] = travelled(new TypeError("x is not a function"));
  assert.deepEqual(
    [unknown?.code, unknown?.message],
    ["internal", "Cannot answer a peer: x is not a function"],
  );
  const [transport] = travelled(new ConnectError("not a FillChunkRequest", Code.InvalidArgument));
  assert.deepEqual([transport?.code, transport?.message], ["invalid_argument", "not a FillChunkRequest"]);
  const detailed = toConnectError(new OrcaError("overloaded", "mesh", "full"));
  assert.equal(toConnectError(detailed), detailed);
});

test("toConnectError, fromConnectError: a failed assertion is thrown again, also if Connect has wrapped it", () => {
  const bug = new AssertionFailure("a bug");
  assert.throws(() => toConnectError(bug), bug);
  assert.throws(() => fromConnectError(bug, action), bug);
  assert.throws(() => fromConnectError(ConnectError.from(bug), action), bug);
});

test("fromConnectError: an error without a detail is the transport's, and becomes peer_unavailable", () => {
  for (const code of connectCodes) {
    const error = fromConnectError(new ConnectError("gone", code), action);
    assert.deepEqual(
      [error.code, error.source, error.message],
      ["peer_unavailable", "mesh", `${action}: gone`],
    );
  }
  assert.equal(fromConnectError(new Error("socket hang up"), action).code, "peer_unavailable");
  const known = new OrcaError("not_held", "fill", "not here");
  assert.equal(fromConnectError(known, action), known);
});

test("fromConnectError: an unknown code and source become the nearest ones, and never an absence", () => {
  for (const code of connectCodes) {
    assert.notEqual(errorTable[newer(code).code].status, 404);
    assert.equal(newer(code).message, `${action}: new`);
  }
  assert.equal(newer(Code.ResourceExhausted).code, "overloaded");
  assert.equal(newer(Code.NotFound).code, "not_held");
  assert.equal(newer(Code.Internal, "constructor").code, "internal");
  assert.deepEqual(
    [newer(Code.Internal, "no_such_key").code, newer(Code.Internal, "no_such_key").source],
    ["no_such_key", "mesh"],
  );
});

test("NotCoordinator: the caller gets the coordinator and a small view, whatever their content is", () => {
  fc.assert(
    fc.property(fc.array(anyMember, { maxLength: 5 }), anyMember, (others, coordinator) => {
      const members = [coordinator, ...others.filter(({ replicaId }) => replicaId !== coordinator.replicaId)];
      for (const error of travelled(new NotCoordinator("a chunk", coordinator, members))) {
        assert.ok(error instanceof NotCoordinator);
        assert.deepEqual(error.coordinator, coordinator);
        assert.deepEqual(new Set(error.members), new Set(members));
        assert.deepEqual(error.members[0], coordinator);
      }
    }),
  );
});

test("NotCoordinator: it names the subject of the request", () => {
  const coordinator = memberOf("r1");
  const error = new NotCoordinator("x", coordinator, []);
  const chunkKey = { originId: "o", bucket: "b", objectKey: "k", etag: "e", chunkIndex: 7n };
  const details = (subject?: Subject) => toConnectError(error, subject).findDetails(NotCoordinatorSchema)[0];
  const ofChunk = details({ chunkKey, objectSize: 9n });
  assert.deepEqual([ofChunk?.chunkKey?.chunkIndex, ofChunk?.objectSize], [7n, 9n]);
  const object = { originId: "o", bucket: "b", objectKey: "k" };
  assert.equal(details({ object })?.object?.objectKey, "k");
  const messages = [{ chunkKey, objectSize: 9n }, { object }, undefined].map(
    (subject) => travelled(error, subject)[0]?.message,
  );
  assert.deepEqual(messages, [
    'Cannot answer for "o/b/k chunk 7": "r1" coordinates it',
    'Cannot answer for "o/b/k": "r1" coordinates it',
    'Cannot answer for "the requested object or chunk": "r1" coordinates it',
  ]);
});

test("NotCoordinator: of a large view it holds the coordinator and then live members, and it fits into gRPC's headers", () => {
  const members = Array.from({ length: 1024 }, (_, index) =>
    memberOf(`r${index}`, { state: index % 2 ? "alive" : "dead" }),
  );
  const coordinator = members.at(-2);
  assert.ok(coordinator);
  const encoded = toConnectError(new NotCoordinator("\u{1F40B}".repeat(1000), coordinator, members), {
    object: { originId: "o", bucket: "b", objectKey: "\u{1F40B}".repeat(1024) },
  });
  const headerBytes = Object.entries(grpcTrailers(encoded)).reduce(
    (total, [name, value]) => total + name.length + value.length + 32,
    0,
  );
  assert.ok(headerBytes < 16 * 1024, `${headerBytes} bytes`);
  for (const error of received(encoded)) {
    assert.ok(error instanceof NotCoordinator);
    assert.ok(error.members.length >= 20);
    assert.deepEqual(error.members[0], coordinator);
    assert.ok(error.members.slice(1).every(({ state }) => state === "alive"));
  }
});

test("NotCoordinator: a malformed one is peer_unavailable", () => {
  const member = { replicaId: "r", address: "h:1", incarnation: 1n, state: MemberState.ALIVE };
  const malformed: readonly MessageInitShape<typeof NotCoordinatorSchema>[] = [
    {},
    { coordinator: { ...member, state: MemberState.UNSPECIFIED } },
    { coordinator: { ...member, state: 9 as MemberState } },
    { coordinator: { ...member, incarnation: 2n ** 53n } },
    { coordinator: { ...member, replicaId: "" } },
    { coordinator: { ...member, address: "nowhere" } },
    { coordinator: member, members: [{ ...member, address: "http://h:1" }] },
    { coordinator: member, members: Array.from({ length: 1025 }, () => member) },
  ];
  for (const value of malformed) {
    const details = [{ desc: NotCoordinatorSchema, value }];
    const [error] = received(new ConnectError("no", Code.FailedPrecondition, undefined, details));
    assert.equal(error?.code, "peer_unavailable");
    assert.ok(error.message.startsWith(`${action}: `));
  }
  const unsaid = [{ desc: ErrorDetailSchema, value: create(ErrorDetailSchema, { code: "not_coordinator" }) }];
  const [error] = received(new ConnectError("no", Code.FailedPrecondition, undefined, unsaid));
  assert.equal(error?.code, "peer_unavailable");
  const garbled = new ConnectError("no", Code.FailedPrecondition);
  garbled.details = [{ type: NotCoordinatorSchema.typeName, value: new Uint8Array([0xff]) }];
  assert.equal(received(garbled)[0]?.code, "peer_unavailable");
});

test("ConfigurationMismatch: the caller learns which setting differs, from its own point of view", () => {
  const mismatch = new ConfigurationMismatch(memberOf("r1"), "chunking.size", "8388608", "16777216");
  for (const error of travelled(mismatch)) {
    assert.deepEqual(
      [error.code, error.source, error.message],
      [
        "config_invalid",
        "membership",
        `${action}: chunking.size is "8388608" there and "16777216" here. Set it to the same value on all replicas.`,
      ],
    );
  }
  const [detail] = toConnectError(
    new ConfigurationMismatch(memberOf("r1"), "a", "x".repeat(9999), "y"),
  ).findDetails(ConfigurationMismatchSchema);
  assert.equal(detail?.answererValue.length, 256);
});
