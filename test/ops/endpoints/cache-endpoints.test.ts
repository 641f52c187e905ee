/** How `/cache/verify` and `/cache/clear` treat a client that disconnects and a replica that stops; test/e2e has the rest. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { Buckets } from "../../../src/object/buckets.ts";
import { CacheClear } from "../../../src/ops/endpoints/cache-clear.ts";
import { type CacheEndpointsOptions, cacheEndpoints } from "../../../src/ops/endpoints/cache-endpoints.ts";
import type { OpsEndpoint } from "../../../src/ops/ops-endpoint.ts";
import { Scrub } from "../../../src/store/scrub/scrub.ts";
import type { ScrubbedDisk } from "../../../src/store/scrub/scrub-pass.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

/** A disk whose scan never ends. */
const scannedDisk: ScrubbedDisk & ConstructorParameters<typeof CacheClear>[0]["disk"] = {
  directory: "/nowhere",
  usedBytes: 0,
  ready: new Promise(() => {}),
  readsInProgress: 0,
  hold: () => undefined,
  release: () => {},
  distrust: () => Promise.resolve(false),
  paths: () => new Set<string>().values(),
  discard: () => Promise.resolve(0),
  isSetAside: false,
};

function scrubOf(clock = new FakeClock()): Scrub {
  return new Scrub({ disk: scannedDisk, intervalMs: 0, clock, logger: new RecordedLogger() });
}

function actionOf(path: string, scrub?: Scrub, clock = new FakeClock()): OpsEndpoint {
  const clear = new CacheClear({
    directories: [],
    parts: [],
    flights: { forget: async () => {} },
    memory: { clear: () => ({ chunks: 0, bytes: 0 }), objectKeys: () => [][Symbol.iterator]() as never },
    disk: scannedDisk,
    cachestore: undefined,
  });
  const stats = {} as CacheEndpointsOptions["stats"];
  const endpoints = cacheEndpoints({ stats, scrub, clear, buckets: new Buckets(new Map()), clock });
  return endpoints.find((each) => each.path === path && each.method === "POST") as OpsEndpoint;
}

function post(endpoint: OpsEndpoint, signal: AbortSignal, query = "") {
  return endpoint.answer({ query: new URLSearchParams(query), signal });
}

test("/cache/verify: after the scrub was stopped, an action is rejected as shutting_down", async () => {
  const scrub = scrubOf();
  await scrub.stop();
  const { signal } = new AbortController();
  await rejectsWith("shutting_down", post(actionOf("/cache/verify", scrub), signal));
  assert.equal(scrub.progress.state, "idle");
});

test("/cache/verify: a rate that is none starts nothing", async () => {
  const scrub = scrubOf();
  const { signal } = new AbortController();
  for (const query of ["bytes_per_second=1", "bytes_per_second=fast", "rate=1048576"])
    await rejectsWith("invalid_argument", post(actionOf("/cache/verify", scrub), signal, query));
  assert.equal(scrub.progress.state, "idle");
});

test("/cache/verify: the scrub goes on when the client disconnects", async () => {
  const clock = new FakeClock();
  const scrub = scrubOf(clock);
  const client = new AbortController();
  const answer = await post(actionOf("/cache/verify", scrub, clock), client.signal);
  assert.ok("documents" in answer);
  const lines = answer.documents[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value.state, "running");
  const second = lines.next();
  client.abort();
  assert.equal((await second).value.state, "running", "the last line");
  assert.equal((await lines.next()).done, true);
  assert.equal(clock.pendingTimers, 0);
  assert.equal(scrub.progress.state, "running");
  await scrub.stop();
});

test("/cache/verify: the last line tells how the pass ended", async () => {
  const clock = new FakeClock();
  const scrub = scrubOf(clock);
  const answer = await post(actionOf("/cache/verify", scrub, clock), new AbortController().signal);
  assert.ok("documents" in answer);
  const states: unknown[] = [];
  for await (const document of answer.documents) {
    states.push((document as { state: string }).state);
    if (states.length === 1) await scrub.stop();
  }
  assert.deepEqual(states, ["running", "stopped"]);
  assert.equal(clock.pendingTimers, 0);
});

test("/cache/verify: without a disk tier it is a conflict", async () => {
  const answer = await post(actionOf("/cache/verify"), new AbortController().signal);
  assert.ok("status" in answer);
  assert.equal(answer.status, 409);
});

test("/cache/clear: it ends when the client disconnects", async () => {
  const gone = new AbortController();
  const answer = post(actionOf("/cache/clear"), gone.signal);
  gone.abort(new OrcaError("request_timeout", "client", "Cannot go on"));
  await rejectsWith("request_timeout", answer);
});
