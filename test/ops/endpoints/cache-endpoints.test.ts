/** What `/cache/verify` and `/cache/clear` make of the signal and of a replica that stops; the rest is in test/e2e. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { CacheClear } from "../../../src/ops/endpoints/cache-clear.ts";
import { type CacheEndpointsOptions, cacheEndpoints } from "../../../src/ops/endpoints/cache-endpoints.ts";
import type { OpsEndpoint } from "../../../src/ops/ops-endpoint.ts";
import type { ScrubbedDisk } from "../../../src/store/scrub/scrub.ts";
import { Scrub } from "../../../src/store/scrub/scrub.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";
import { rejectsWith } from "../../support/rejects-with.ts";

/** A disk whose scan never ends. */
const scannedDisk: ScrubbedDisk & ConstructorParameters<typeof CacheClear>[0]["disk"] = {
  directory: "/nowhere",
  usedBytes: 0,
  ready: new Promise(() => {}),
  readsInProgress: 0,
  entry: () => undefined,
  distrust: () => Promise.resolve(false),
  keys: () => new Set<string>().values(),
  discard: () => Promise.resolve(0),
};

function endpointsOf(scrub: Scrub | undefined): ReadonlyMap<string, OpsEndpoint> {
  const clear = new CacheClear({
    directories: [],
    memory: { clear: () => ({ chunks: 0, bytes: 0 }) },
    disk: scannedDisk,
    cachestore: undefined,
  });
  const stats = {} as CacheEndpointsOptions["stats"];
  return new Map(cacheEndpoints({ stats, scrub, clear, buckets: new Map(), clock: new FakeClock() }));
}

function post(endpoint: OpsEndpoint | undefined, signal: AbortSignal) {
  assert.ok(endpoint);
  return endpoint.answer({ method: "POST", query: new URLSearchParams(), signal });
}

test("/cache/verify: where the scrub was stopped, an action is refused as shutting_down", async () => {
  const scrub = new Scrub({ disk: scannedDisk, clock: new FakeClock(), logger: new RecordedLogger() });
  await scrub.stop();
  const { signal } = new AbortController();
  await rejectsWith("shutting_down", post(endpointsOf(scrub).get("/cache/verify"), signal));
  assert.equal(scrub.stats.runs, 0);
});

test("/cache/verify: whoever has gone before the first line does not watch", async () => {
  const scrub = new Scrub({ disk: scannedDisk, clock: new FakeClock(), logger: new RecordedLogger() });
  const gone = new AbortController();
  await post(endpointsOf(scrub).get("/cache/verify"), gone.signal);
  assert.equal(scrub.progress.state, "running");
  gone.abort();
  const watch = await scrub.watch();
  assert.equal(scrub.stats.runs, 2, "the first run has ended");
  watch.leave();
  await watch.ended;
});

test("/cache/clear: it ends with whoever asked", async () => {
  const gone = new AbortController();
  const answer = post(endpointsOf(undefined).get("/cache/clear"), gone.signal);
  gone.abort(new OrcaError("request_timeout", "client", "Cannot go on"));
  await rejectsWith("request_timeout", answer);
});
