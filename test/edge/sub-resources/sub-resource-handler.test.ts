import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { nextTurn } from "../../../src/base/clock.ts";
import type { OrcaError } from "../../../src/base/orca-error.ts";
import type { RelayedError } from "../../../src/edge/error-response.ts";
import type { Exchange } from "../../../src/edge/exchange.ts";
import { parseQuery } from "../../../src/edge/query.ts";
import { subResourceRequest } from "../../../src/edge/sub-resources/sub-resource.ts";
import { SubResourceHandler } from "../../../src/edge/sub-resources/sub-resource-handler.ts";
import type { Bucket } from "../../../src/object/bucket.ts";
import type { SubResourceAnswer } from "../../../src/origin/origin.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const body = Buffer.from("<AccessControlPolicy></AccessControlPolicy>");

type FakeResponse = EventEmitter & { closed: boolean };

/** A handler before an origin that does not answer until the test lets it. */
function fixture({ asksAsClient = true, query = "acl" } = {}) {
  const clock = new FakeClock();
  const handler = new SubResourceHandler({ asksAsClient, clock });
  const held = Promise.withResolvers<SubResourceAnswer>();
  let asked = 0;
  const bucket = {
    hasSubResources: true,
    faultOf: () => undefined,
    subResource: () => {
      asked += 1;
      return held.promise;
    },
  } as unknown as Bucket;
  const request = subResourceRequest("b", "k", parseQuery(query) ?? new Map());
  assert.ok(request);
  const statuses: (number | string)[] = [];
  const ask = (): FakeResponse => {
    const response = Object.assign(new EventEmitter(), { closed: false });
    const exchange = {
      request: { method: "GET", headers: {} },
      response,
      get isOver() {
        return response.closed;
      },
      begin: () => ({ end: () => {} }),
      idHeaders: () => [],
      send: (status: number) => statuses.push(status),
      sendRelayedError: ({ s3Code }: RelayedError) => statuses.push(s3Code),
      sendError: ({ code }: OrcaError) => statuses.push(code),
    } as unknown as Exchange;
    handler.handle(exchange, request, bucket);
    return response;
  };
  const answer = (status = 200, text: Buffer = body): void =>
    held.resolve({ status, header: () => undefined, body: text });
  return { clock, ask, answer, statuses, asked: () => asked };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
}

function close(response: FakeResponse | undefined): void {
  assert.ok(response);
  response.closed = true;
  response.emit("close");
}

test("SubResourceHandler.handle: 32 are in progress until their last byte, 256 wait, and no longer than 5 s", async () => {
  const { clock, ask, answer, statuses, asked } = fixture();
  const responses = Array.from({ length: 289 }, ask);
  await turns();
  assert.deepEqual([asked(), statuses], [32, ["overloaded"]]);
  answer();
  await turns();
  assert.deepEqual([asked(), statuses.length], [32, 33]);
  // A client that left while it waited is not asked for.
  close(responses[32]);
  for (const response of responses.slice(0, 2)) close(response);
  await turns();
  assert.deepEqual([asked(), statuses.length], [34, 35]);
  await clock.advance(5000);
  await turns();
  assert.deepEqual([asked(), statuses.filter((status) => status === "overloaded").length], [34, 254]);
});

test("SubResourceHandler.handle: a question of a client that left is in progress until the origin has answered", async () => {
  const { ask, answer, asked } = fixture();
  const responses = Array.from({ length: 32 }, ask);
  await turns();
  for (const response of responses) close(response);
  const later = Array.from({ length: 32 }, ask);
  await turns();
  assert.equal(asked(), 32);
  answer();
  await turns();
  assert.equal(asked(), 64);
  for (const response of later) close(response);
  ask();
  await turns();
  assert.equal(asked(), 65);
});

test("SubResourceHandler.handle: an absent key or version is an error that Exchange.sendError can hide", async () => {
  for (const [s3Code, code] of [
    ["NoSuchKey", "no_such_key"],
    ["NoSuchVersion", "no_such_version"],
    ["MethodNotAllowed", "MethodNotAllowed"],
  ] as const) {
    const { ask, answer, statuses } = fixture({ asksAsClient: false, query: "attributes&versionId=v" });
    ask();
    answer(404, Buffer.from(`<Error><Code>${s3Code}</Code></Error>`));
    await turns();
    assert.deepEqual(statuses, [code]);
  }
});
