import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { Logger } from "../../src/base/logger.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import { pages } from "../../src/base/pages.ts";
import { Log, type LogStream, type ParentLogger } from "../../src/ops/logging.ts";
import { FakeClock } from "../support/fake-clock.ts";

class Lines implements LogStream {
  readonly isTTY: boolean;
  readonly lines: string[] = [];

  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.lines.push(text);
  }

  get events(): unknown[] {
    return this.lines.map((line) => JSON.parse(line));
  }
}

function jsonLogger(stream: Lines, level: "debug" | "info" | "warn" = "info"): ParentLogger {
  return new Log({ level, clock: new FakeClock(), stream, pretty: false }).logger;
}

test("Log: one JSON line with the level's name and an ISO time", () => {
  const stream = new Lines();
  const logger: Logger = jsonLogger(stream);
  logger.info({ bucket: "b", attempts: 2 }, "Origin answers");
  assert.deepEqual(stream.lines, [
    '{"level":"info","time":"2026-01-01T00:00:00.000Z","bucket":"b","attempts":2,"msg":"Origin answers"}\n',
  ]);
});

test("Log: what lies below the level is not printed", () => {
  const stream = new Lines();
  const logger = jsonLogger(stream, "warn");
  logger.debug({}, "no");
  logger.info({}, "no");
  logger.warn({ see: pages.stop }, "yes");
  logger.error({}, "yes");
  assert.equal(stream.lines.length, 2);
});

test("Log: isDebug follows the level, of the logger and of all its children", () => {
  const log = new Log({ level: "info", clock: new FakeClock(), stream: new Lines(), pretty: false });
  const loggers = [log.logger, log.logger.child({ a: 1 }), log.logger.child({ a: 1 }).child({ b: 2 })];
  const areDebug = (): boolean[] => loggers.map(({ isDebug }) => isDebug);
  assert.deepEqual(areDebug(), [false, false, false]);
  log.level.change("debug", 1000);
  assert.deepEqual(areDebug(), [true, true, true]);
  log.level.change("warn", 1000);
  assert.deepEqual(areDebug(), [false, false, false]);
  log.level.reset();
  assert.deepEqual(areDebug(), [false, false, false]);
  assert.equal(jsonLogger(new Lines(), "debug").isDebug, true);
});

test("Log: a child adds its fields to every event, and to its own children's", () => {
  const stream = new Lines();
  const child = jsonLogger(stream).child({ requestId: "r1" });
  child.child({ chunk: 3 }).info({ bytes: 5 }, "Read");
  assert.deepEqual(stream.events, [
    { level: "info", time: "2026-01-01T00:00:00.000Z", requestId: "r1", chunk: 3, bytes: 5, msg: "Read" },
  ]);
});

test("Log: secrets are hidden in fields and in a child's fields, readable or not", () => {
  for (const pretty of [false, true]) {
    const stream = new Lines();
    const logger = new Log({ level: "info", clock: new FakeClock(), stream, pretty }).logger;
    logger.child({ token: "hush" }).info({ config: { s3: { secretAccessKey: "hush" } } }, "Starting");
    assert.equal(stream.lines.length, 1);
    assert.doesNotMatch(stream.lines.join(), /hush/);
    assert.match(stream.lines.join(), /hidden/);
  }
});

test("Log: an error is spelled out under any name", () => {
  const error = new OrcaError("origin_throttled", "origin", "Cannot read", {
    cause: new OrcaError("internal", "fill", "why"),
  });
  for (const name of ["err", "error", "reason"]) {
    const stream = new Lines();
    jsonLogger(stream).warn({ [name]: error, see: pages.stop }, "Retrying");
    const [event] = stream.events;
    assert.deepEqual((event as Record<string, unknown>)[name], {
      type: "OrcaError",
      code: "origin_throttled",
      source: "origin",
      message: "Cannot read",
      cause: { type: "OrcaError", code: "internal", source: "fill", message: "why" },
    });
  }
});

test("Log: the readable form is one line, coloured on a terminal alone", () => {
  const [file, terminal] = [new Lines(false), new Lines(true)];
  for (const stream of [file, terminal]) {
    const logger = new Log({ level: "info", clock: new FakeClock(), stream, pretty: true }).logger;
    logger
      .child({ requestId: "r1" })
      .warn({ error: new Error("line one\nline two"), see: pages.stop }, "Cannot store");
    assert.equal(stream.lines.length, 1);
  }
  const [plain] = file.lines;
  const [coloured] = terminal.lines;
  assert.match(plain ?? "", /^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: Cannot store \{"requestId":"r1",.*\}\n$/);
  assert.notEqual(coloured, plain);
  assert.equal(stripVTControlCharacters(coloured ?? ""), plain);
});

test("Log: lines of the access log appear at every level, in the form of all others", () => {
  const stream = new Lines();
  const log = new Log({ level: "error", clock: new FakeClock(), stream, pretty: false });
  log.access.info({ log: "access", key: "k", source: undefined }, "Answered a request");
  log.logger.info({}, "no");
  assert.deepEqual(stream.lines, [
    '{"level":"info","time":"2026-01-01T00:00:00.000Z","log":"access","key":"k","msg":"Answered a request"}\n',
  ]);
});
