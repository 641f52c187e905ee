import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { suite, test } from "node:test";
import { type AccessEnd, AccessLog, type AccessMode } from "../../../src/edge/access-log/access-log.ts";
import { TraceContexts } from "../../../src/trace/trace-contexts.ts";
import { RecordedLogger } from "../../support/recorded-logger.ts";

interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  readonly url?: string;
  readonly key?: string;
  readonly bucket?: string;
  readonly identity?: string;
}

const traceContexts = new TraceContexts();

const ended: AccessEnd = { status: 200, seconds: 0.0012345, complete: true };

function linesOf(mode: AccessMode, end: Partial<AccessEnd> = {}, asked: Asked = {}) {
  const logger = new RecordedLogger();
  const { headers = {}, url = "/b/k", key = "k", bucket = "b", identity } = asked;
  const request = { socket: { remoteAddress: "10.0.0.9" }, headers, url, method: "GET" };
  const accessed = {
    request: request as unknown as IncomingMessage,
    requestId: "ID",
    operation: "get_object" as const,
    bucket,
    key,
    client: identity === undefined ? undefined : { name: identity },
    reader: { takenBytes: 90, source: "memory" as const },
  };
  const log = AccessLog.of({ mode, slowRequestMs: 1000, logger, traceContexts });
  const record = log?.begin(accessed.request);
  if (log && record) log.end(accessed, { ...record, firstByteSeconds: 0.0005 }, { ...ended, ...end });
  return logger.events;
}

suite("AccessLog", () => {
  test("off: there is none", () => {
    assert.equal(
      AccessLog.of({ mode: "off", slowRequestMs: 1, logger: new RecordedLogger(), traceContexts }),
      undefined,
    );
  });

  test("all: a line with what an operator needs", () => {
    const headers = { range: "bytes=0-89", "user-agent": "aws-cli/2", "x-forwarded-for": "192.0.2.1" };
    const [event, ...others] = linesOf(
      "all",
      {},
      { headers, url: "/b/k?partNumber=1", identity: "training" },
    );
    assert.deepEqual(others, []);
    assert.equal(event?.message, "Answered a request");
    assert.deepEqual(event?.fields, {
      log: "access",
      requestId: "ID",
      traceId: undefined,
      client: "10.0.0.9",
      forwardedFor: "192.0.2.1",
      identity: "training",
      method: "GET",
      operation: "get_object",
      bucket: "b",
      key: "k",
      query: "partNumber=1",
      range: "bytes=0-89",
      status: 200,
      code: undefined,
      complete: true,
      bytes: 90,
      durationMs: 1.235,
      firstByteMs: 0.5,
      source: "memory",
      userAgent: "aws-cli/2",
    });
  });

  const wanted: readonly (readonly [Partial<AccessEnd>, slow: number, errors: number])[] = [
    [{}, 0, 0],
    [{ status: 206 }, 0, 0],
    [{ status: 304 }, 0, 0],
    [{ seconds: 1.0001 }, 1, 0],
    [{ seconds: 1 }, 0, 0],
    [{ status: 404 }, 0, 1],
    [{ status: 502, seconds: 5 }, 1, 1],
    [{ complete: false }, 0, 1],
  ];
  for (const [end, slow, errors] of wanted) {
    test(`${JSON.stringify(end)}: slow has ${slow} lines, errors ${errors}, all 1`, () => {
      assert.equal(linesOf("slow", end).length, slow);
      assert.equal(linesOf("errors", end).length, errors);
      assert.equal(linesOf("all", end).length, 1);
    });
  }

  test("no text of a client makes a line longer than its bound, and none holds half a character", () => {
    const long = "\u{1F600}x".repeat(5000);
    const headers = { range: long, "user-agent": long, "x-forwarded-for": long };
    const [event] = linesOf(
      "all",
      {},
      { headers, key: long, bucket: long, identity: long, url: `/b?prefix=${long}` },
    );
    const text = JSON.stringify(event?.fields);
    assert.ok(text.length < 4000, String(text.length));
    assert.doesNotMatch(text, /\\ud[89ab]/i);
  });
});
