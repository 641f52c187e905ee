import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, suite, test } from "node:test";
import { WholeAnswers } from "../../src/http-client/whole-answers.ts";
import { originFaults } from "../../src/origin/origin-faults.ts";
import { rejectsWith } from "../support/rejects-with.ts";

suite("WholeAnswers", () => {
  const opened: { close(): unknown }[] = [];
  afterEach(() => {
    for (const each of opened.splice(0)) each.close();
  });

  async function serve(answer: RequestListener) {
    const server = createServer(answer);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    let connections = 0;
    server.on("connection", () => {
      connections += 1;
    });
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const answers = new WholeAnswers({ url, faults: originFaults, connectionsIdleMax: 4 });
    opened.push(answers, { close: () => server.close() }, { close: () => server.closeAllConnections() });
    const get = (signal = new AbortController().signal, bytesMax = 200_000) =>
      answers.get({ path: "/b?x=%2F", headers: { "x-y": "z" }, bytesMax, action: "Cannot ask" }, signal);
    return { get, connections: () => connections };
  }

  test("get: the path, the headers and a body in parts, on a connection that is used again", async () => {
    const { get, connections } = await serve((request, response) => {
      response.setHeader("x-asked", [request.url ?? "", request.headers["x-y"] ?? ""].flat());
      for (let part = 0; part < 1000; part += 1) response.write("0123456789".repeat(20));
      response.end();
    });
    for (let time = 0; time < 3; time += 1) {
      const answer = await get();
      assert.equal(answer.header("x-asked"), "/b?x=%2F, z");
      assert.equal(answer.body.toString(), "0123456789".repeat(20_000));
    }
    assert.equal(connections(), 1);
  });

  test("get: a body beyond bytesMax is unsupported, and its connection is closed", async () => {
    const closed = Promise.withResolvers<void>();
    const { get } = await serve((_, response) => {
      response.on("close", closed.resolve);
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(10_000)));
      };
      response.on("drain", more);
      more();
    });
    await rejectsWith("origin_unsupported", get());
    await closed.promise;
  });

  test("get: of the body of an error 4 KiB are kept, however long it is", async () => {
    for (const lengthBytes of [10, 60_000, 1_000_000]) {
      const { get } = await serve((_, response) => {
        response.statusCode = 503;
        response.end(Buffer.alloc(lengthBytes));
      });
      const { status, body } = await get();
      assert.deepEqual([status, body.length], [503, Math.min(lengthBytes, 4096)]);
    }
  });

  test("get: a body that breaks off is unavailable", async () => {
    const { get } = await serve((request, response) => {
      response.setHeader("content-length", 100);
      response.write("x", () => request.socket.destroy());
    });
    await rejectsWith("origin_unavailable", get());
  });

  test("get: an abort rejects with its reason, before and during the body", async () => {
    const { get } = await serve((_, response) => response.write("x"));
    const stop = new AbortController();
    const running = get(stop.signal);
    const reason = new Error("stop");
    setImmediate(() => stop.abort(reason));
    await assert.rejects(running, reason);
    await assert.rejects(get(stop.signal), reason);
  });
});
