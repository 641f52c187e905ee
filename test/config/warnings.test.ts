import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig, type SettingsTree } from "../../src/config/load.ts";
import { warningsOf } from "../../src/config/warnings.ts";

function warnings(settings: SettingsTree): string[] {
  const origin = { id: "o", driver: "file", file: { root: "/srv/data" } };
  const { server = {} } = settings as { server?: object };
  const overrides = { origin, ...settings, server: { listen: "127.0.0.1:8443", ...server } };
  return warningsOf(loadConfig({ env: {}, overrides }));
}

test("warningsOf: the defaults hold together on loopback", () => {
  assert.deepEqual(warnings({}), []);
});

test("warningsOf: strangers who may read everything", () => {
  for (const listen of ["0.0.0.0:8443", "[::]:8443", "10.0.0.7:8443", "cache.example.com:8443"]) {
    const [open = "", ...others] = warnings({ server: { listen } });
    assert.deepEqual(others, []);
    assert.match(open, /^server\.auth\.enabled: clients do not authenticate, and everybody who reaches/);
    assert.ok(open.includes(listen), open);
  }
  for (const listen of ["127.0.0.1:8443", "localhost:0", "[::1]:8443"])
    assert.deepEqual(warnings({ server: { listen } }), []);
});

test("warningsOf: more requests than memory has room for slow clients", () => {
  assert.deepEqual(warnings({ server: { max_requests: 16_384 } }), [
    "server.max_requests: memory.max_bytes (1 GiB) has room for 4096 slow clients, and 16384 requests are allowed. Further ones wait and get 503. Set server.max_requests to 4096, or memory.max_bytes to 4 GiB",
  ]);
  assert.deepEqual(warnings({ server: { max_requests: 16_384 }, memory: { max_bytes: "4GiB" } }), []);
  assert.equal(warnings({ server: { max_requests: 4097 } }).length, 1);
  assert.equal(warnings({ memory: { max_bytes: "256MiB" } }).length, 1);
  assert.deepEqual(warnings({ memory: { max_bytes: "256MiB" }, server: { max_requests: 1024 } }), []);
});

test("warningsOf: the metadata of more objects than memory has room for", () => {
  assert.deepEqual(warnings({ metadata: { max_entries: 1_000_000 } }), [
    "metadata.max_entries: memory.max_bytes (1 GiB) has room for the metadata of about 78951 objects, and 1000000 are allowed. Orca forgets objects before that. Set metadata.max_entries to 78951, or memory.max_bytes to 12.7 GiB",
  ]);
  assert.deepEqual(warnings({ metadata: { max_entries: 1_000_000 }, memory: { max_bytes: "15GiB" } }), []);
  assert.deepEqual(warnings({ metadata: { max_entries: 67_108 } }), []);
});

test("warningsOf: more chunks of the usual size than the disk may hold", () => {
  const disk = { root: "/cache", max_bytes: "100TiB" };
  const [warning, ...more] = warnings({ disk });
  assert.match(
    warning ?? "",
    /^disk\.max_chunks: .* 13107200 chunks of 8 MiB, and 3355443 are allowed.* 1000 MiB /,
  );
  assert.deepEqual(more, []);
  assert.deepEqual(warnings({ disk: { ...disk, max_chunks: 13_107_200 } }), []);
});
