/** How the ops listener runs its endpoints: methods, actions, errors, and answers that come in lines. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import type { OpsActions } from "../../src/ops/action-guard.ts";
import { jsonPage, type OpsEndpoint, textPage } from "../../src/ops/ops-endpoint.ts";
import { OpsServer } from "../../src/ops/ops-server.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { neverDies } from "../support/never-dies.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { until } from "../support/until.ts";

async function serveAll(context: TestContext, endpoints: readonly OpsEndpoint[], actions?: OpsActions) {
  const logger = new RecordedLogger();
  const server = new OpsServer({
    host: "127.0.0.1",
    port: 0,
    endpoints,
    ...(actions && { actions }),
    clock: new FakeClock(),
    logger,
    onDied: neverDies,
  });
  const { port } = await server.start();
  context.after(() => server.stop());
  const url = `http://127.0.0.1:${port}/thing`;
  const post = (headers: Record<string, string> = { "x-orca-action": "act" }, query = "") =>
    fetch(url + query, { method: "POST", headers });
  return { url, post, logger };
}

/** A question and an action at `/thing`, and `/alive` beside them. */
function thing(answer: OpsEndpoint["answer"]): OpsEndpoint[] {
  return [
    { method: "GET", path: "/thing", help: "a thing", answer },
    { method: "POST", path: "/thing", help: "does a thing", action: "act", answer },
    { method: "GET", path: "/alive", help: "200", answer: async () => textPage(200, "ok\n") },
  ];
}

function serve(context: TestContext, answer: OpsEndpoint["answer"], actions?: OpsActions) {
  return serveAll(context, thing(answer), actions);
}

test("OpsServer: an endpoint is asked by method and query, and is named on /", async (context) => {
  const { url, post, logger } = await serveAll(context, [
    {
      method: "GET",
      path: "/thing",
      help: "a thing",
      answer: async ({ query }) => jsonPage(200, ["GET", query.get("q")]),
    },
    {
      method: "POST",
      path: "/thing",
      help: "does a thing",
      action: "act",
      answer: async ({ query }) => jsonPage(200, ["POST", query.get("q")]),
    },
  ]);
  assert.deepEqual(await (await fetch(`${url}?q=a%20b%2Fc`)).json(), ["GET", "a b/c"]);
  assert.equal(logger.count("info"), 0);
  const done = await post(undefined, "?q=1");
  assert.deepEqual([done.status, await done.json()], [200, ["POST", "1"]]);
  assert.equal(logger.count("info"), 1, "an action is logged");
  const index = await (await fetch(new URL("/", url))).text();
  assert.match(index, /^GET {2}\/thing +a thing$/m);
  assert.match(index, /^POST \/thing +does a thing$/m);
  assert.equal((await fetch(url, { method: "HEAD" })).status, 200);
});

test("OpsServer: what an endpoint does not take is 405 with what it does", async (context) => {
  const [, action] = thing(async () => jsonPage(200, "done")) as [OpsEndpoint, OpsEndpoint];
  const { url } = await serveAll(context, [action]);
  for (const method of ["GET", "HEAD", "PUT", "OPTIONS", "DELETE"]) {
    const response = await fetch(url, { method });
    assert.deepEqual([response.status, response.headers.get("allow")], [405, "POST"]);
    assert.equal(response.headers.get("access-control-allow-origin"), null);
    await response.body?.cancel();
  }
  const both = await serve(context, async () => jsonPage(200, "done"));
  const response = await fetch(both.url, { method: "DELETE" });
  assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET, HEAD, POST"]);
  await response.body?.cancel();
});

test("OpsServer: an action that is denied is 403 with the reason, and nothing is done", async (context) => {
  let asked = 0;
  const answer: OpsEndpoint["answer"] = async () => jsonPage(200, (asked += 1));
  const { post } = await serve(context, answer);
  for (const headers of [{}, { "x-orca-action": "other" }, { "x-orca-action": "act", origin: "http://x" }]) {
    const response = await post(headers);
    assert.equal(response.status, 403);
    assert.match(((await response.json()) as { error: string }).error, /action/);
  }
  const off = await serve(context, answer, "none");
  assert.equal((await off.post()).status, 403);
  assert.equal(asked, 0);
});

test("OpsServer: an OrcaError is its status and message, and anything else a 500 without one", async (context) => {
  const known = await serve(context, () =>
    Promise.reject(new OrcaError("no_such_key", "object", "Cannot find it")),
  );
  const response = await fetch(known.url);
  assert.deepEqual([response.status, await response.json()], [404, { error: "Cannot find it" }]);
  const unknown = await serve(context, () => Promise.reject(new Error("secret")));
  const failed = await fetch(unknown.url);
  assert.equal(failed.status, 500);
  assert.doesNotMatch(await failed.text(), /secret/);
});

test("OpsServer: an action ends when the client disconnects, and that is no error", async (context) => {
  const asked = Promise.withResolvers<AbortSignal>();
  const ended = Promise.withResolvers<void>();
  const { url, logger } = await serve(context, async ({ signal }) => {
    asked.resolve(signal);
    await once(signal, "abort");
    setImmediate(ended.resolve);
    signal.throwIfAborted();
    return jsonPage(200, "not ended");
  });
  const stop = new AbortController();
  const response = fetch(url, { signal: stop.signal });
  const signal = await asked.promise;
  stop.abort();
  await assert.rejects(response);
  await ended.promise;
  assert.ok(signal.reason instanceof OrcaError);
  assert.equal(logger.count("error"), 0);
});

test("OpsServer: lines come as they are made, and end when the client disconnects", async (context) => {
  let ended = false;
  let signalled = false;
  const gate = Promise.withResolvers<void>();
  const { url } = await serve(context, async ({ signal }) => ({
    documents: (async function* () {
      signal.addEventListener("abort", () => {
        signalled = true;
        gate.resolve();
      });
      try {
        yield { line: 1 };
        await gate.promise;
        yield { line: 2 };
        yield { line: 3 };
      } finally {
        ended = true;
      }
    })(),
  }));
  const stop = new AbortController();
  const response = await fetch(url, { signal: stop.signal });
  assert.equal(response.headers.get("content-type"), "application/x-ndjson");
  const reader = response.body?.getReader();
  const first = await reader?.read();
  assert.equal(Buffer.from(first?.value ?? []).toString(), '{"line":1}\n');
  stop.abort();
  await until(() => signalled && ended);
});

test("OpsServer: lines that fail are a broken answer and a log line, and the server goes on", async (context) => {
  const { url, logger } = await serve(context, async () => ({
    documents: (async function* () {
      yield 1;
      throw new Error("out of order");
    })(),
  }));
  await assert.rejects(fetch(url).then((response) => response.text()));
  assert.equal(logger.count("error"), 1);
  assert.equal((await fetch(new URL("/alive", url))).status, 200);
});

test("OpsServer: a body that is too large is answered with the reason", async (context) => {
  const { url } = await serve(context, async ({ body }) => jsonPage(200, (await body?.(1000))?.length ?? 0));
  const send = (bytes: number): Promise<Response> =>
    fetch(url, { method: "POST", headers: { "x-orca-action": "act" }, body: Buffer.alloc(bytes) });
  assert.equal(await (await send(1000)).json(), 1000);
  const response = await send(5_000_000);
  assert.equal(response.status, 400);
  assert.match(await response.text(), /it has more than 1000 B/);
});

test("OpsServer: a body that its client does not finish is no error of this replica", async (context) => {
  const read = Promise.withResolvers<unknown>();
  const { url, logger } = await serve(context, ({ body }) => {
    const reading = (body as NonNullable<typeof body>)(1000);
    reading.catch(read.resolve);
    return reading.then(() => jsonPage(200, "done"));
  });
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const head = "POST /thing HTTP/1.1\r\nHost: localhost\r\nx-orca-action: act\r\nContent-Length: 9\r\n\r\n";
  socket.write(`${head}ab`, () => socket.destroy());
  assert.match(String(await read.promise), /Cannot read the body of the request/);
  await new Promise((resolve) => void setImmediate(resolve));
  assert.equal(logger.count("error"), 0);
});

test("OpsServer: a question mark in a query is part of it", async (context) => {
  const { url } = await serve(context, async ({ query }) => jsonPage(200, query.get("q")));
  assert.equal(await (await fetch(`${url}?q=what?.txt`)).json(), "what?.txt");
});
