import assert from "node:assert/strict";
import { test } from "node:test";
import { Log } from "../../src/ops/logging.ts";
import { chunkFields, Trace } from "../../src/trace/trace.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("Trace: steps are on for as long as the level is debug, and are lines of the log then", async () => {
  const clock = new FakeClock();
  const lines: string[] = [];
  const log = new Log({
    level: "info",
    clock,
    stream: { write: (line) => void lines.push(line) },
    pretty: false,
  });
  const trace = new Trace(log.logger, clock);
  assert.equal(trace.isOn, false);
  log.level.change("debug", 600_000);
  assert.equal(trace.isOn, true);
  trace.step("commit", "00AB", { store: "disk" });
  assert.deepEqual(JSON.parse(lines[0] ?? ""), {
    level: "debug",
    time: "2026-01-01T00:00:00.000Z",
    step: "commit",
    requestId: "00AB",
    store: "disk",
    msg: "Storing a chunk",
  });
  await clock.advance(600_000);
  assert.equal(trace.isOn, false);
});

test("chunkFields: the origin's own names, and no more than 8 characters of the ETag", () => {
  const version = { originId: "o", bucket: "b", objectKey: "k", etag: "0123456789" };
  assert.deepEqual(chunkFields({ version, index: 3 }), {
    originId: "o",
    bucket: "b",
    key: "k",
    index: 3,
    etag: "01234567",
  });
});
