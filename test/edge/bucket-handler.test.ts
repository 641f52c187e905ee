import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { nextTurn } from "../../src/base/clock.ts";
import type { OrcaError } from "../../src/base/orca-error.ts";
import { BucketHandler } from "../../src/edge/bucket-handler.ts";
import type { Exchange } from "../../src/edge/exchange.ts";
import type { ListObjectsRequest } from "../../src/edge/list-request.ts";
import type { Bucket } from "../../src/object/bucket.ts";
import type { ListPage } from "../../src/origin/origin.ts";
import { FakeClock } from "../support/fake-clock.ts";

const page: ListPage = { objects: [], commonPrefixes: ["p/"], nextContinuationToken: "" };
const request = { kind: "list-objects-v2", bucket: "b", prefix: "", delimiter: "/", maxKeys: 1000 };

type FakeResponse = EventEmitter & { closed: boolean };

function close(response: FakeResponse): void {
  response.closed = true;
  response.emit("close");
}

/** A handler over one page, which the test releases, and the turns of the event loop in which it is answered. */
function fixture() {
  const clock = new FakeClock();
  const handler = new BucketHandler({ region: "us-east-1", clock });
  const held = Promise.withResolvers<ListPage>();
  let asked = 0;
  const bucket = {
    list: () => {
      asked += 1;
      return held.promise;
    },
  } as unknown as Bucket;
  let turn = 0;
  const answers: { turn: number; code: string }[] = [];
  const answer = (code: string): void => void answers.push({ turn, code });
  const list = (): FakeResponse => {
    const response = Object.assign(new EventEmitter(), { closed: false });
    const exchange = {
      response,
      get isOver() {
        return response.closed;
      },
      begin: () => ({ end: () => {} }),
      sendXml: () => answer(""),
      sendError: (error: OrcaError) => answer(error.code),
    } as unknown as Exchange;
    handler.handle(exchange, { ...request, after: "", continuationToken: "" } as ListObjectsRequest, bucket);
    return response;
  };
  const turns = async (count: number): Promise<void> => {
    for (const end = turn + count; turn < end; turn += 1) await nextTurn();
  };
  return { clock, held, list, answers, turns, asked: () => asked };
}

test("BucketHandler.handle: listings that become ready together are rendered one in a turn", async () => {
  const { held, list, answers, turns } = fixture();
  for (let index = 0; index < 50; index += 1) list();
  await turns(1);
  held.resolve(page);
  await turns(60);
  assert.equal(answers.length, 50);
  for (const [index, { turn }] of answers.entries())
    assert.ok(index === 0 || turn > (answers[index - 1]?.turn ?? turn));
});

test("BucketHandler.handle: 128 listings are in progress until their last byte, 1,000 wait, and no longer than 5 s", async () => {
  const { clock, held, list, answers, turns, asked } = fixture();
  const responses = Array.from({ length: 1129 }, list);
  await turns(2);
  assert.deepEqual([asked(), answers.map(({ code }) => code)], [128, ["overloaded"]]);
  held.resolve(page);
  await turns(140);
  assert.deepEqual([asked(), answers.length], [128, 129]);
  // Two were sent whole; of two that take their place, one has left.
  if (responses[128]) close(responses[128]);
  for (const response of responses.slice(0, 2)) close(response);
  await turns(5);
  assert.deepEqual([asked(), answers.length], [130, 131]);
  await clock.advance(5000);
  await turns(5);
  assert.equal(answers.filter(({ code }) => code === "overloaded").length, 1 + 997);
  for (const response of responses.slice(2, 131)) close(response);
  list();
  await turns(5);
  assert.deepEqual([asked(), clock.pendingTimers], [131, 0]);
});
