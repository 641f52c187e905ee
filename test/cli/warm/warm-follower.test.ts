/** Where `orca warm` follows a warm-up that was handed on. warm-hand-over.test.ts follows one from replica to replica. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runOrca } from "../../support/command-line.ts";

const none = { chunks: 0, bytes: 0 };
const moved = {
  id: "w1.x",
  run_id: "r",
  source: "s3://m/a",
  dry_run: false,
  state: "handed_on",
  objects: 0,
  bytes: 0,
  pass_bytes: 0,
  pass_total_bytes: 0,
  held: none,
  filled: none,
  verified: none,
  missing: none,
  unpinned: none,
  missing_chunks: [],
  reason: null,
  continued: { replica_id: "r2", ops: "http://10.0.0.2:8442" },
};

const stopSignal = (): Promise<string> => Promise.withResolvers<string>().promise;

for (const [ops, origins] of [
  ["https://r1:8442", ["https://r1:8442"]],
  ["HTTPS://r1:8442", ["https://r1:8442"]],
  ["r1:8442", ["http://r1:8442", "http://10.0.0.2:8442"]],
] as const) {
  test(`orca warm: --ops ${ops} asks ${origins.join(" and then ")}, since a token that goes over TLS goes nowhere else`, async (context) => {
    const asked: string[] = [];
    context.mock.method(globalThis, "fetch", async (url: URL) => {
      asked.push(url.origin);
      if (asked.length > 1) return new Response(null, { status: 503 });
      return new Response(`${JSON.stringify(moved)}\n`);
    });
    const { exitCode, stderr } = await runOrca(["warm", "s3://m/a", "--ops", ops], { stopSignal });
    assert.deepEqual([asked, exitCode], [origins, 1]);
    assert.match(stderr, /orca warm --follow r --ops http:\/\/10\.0\.0\.2:8442\n/);
  });
}
