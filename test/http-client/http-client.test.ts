import assert from "node:assert/strict";
import { afterEach, suite, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import type { ErrorCode } from "../../src/base/orca-error.ts";
import { MiB } from "../../src/base/units.ts";
import { HttpClient, type HttpClientOptions } from "../../src/http-client/http-client.ts";
import type { ResponseHead } from "../../src/http-client/response-head.ts";
import { originFaults } from "../../src/origin/origin-faults.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { assertPattern, patternBytes } from "../support/pattern.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { response, type ScriptedRequest, ScriptedServer } from "../support/scripted-server.ts";

const certificate = selfSignedCertificate();
const never = new AbortController().signal;
const get = { method: "GET", path: "/b/../k//%20", headers: { host: "h", "if-match": '"e"' } } as const;

/** Answers with `pieces`, each in a segment of its own. */
async function inPieces({ socket }: ScriptedRequest, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    await new Promise<unknown>((resolve) => socket.write(piece, resolve));
    await settle();
  }
}

const ok = (lengthBytes: number, offset = 0): Buffer =>
  response(200, { "Content-Length": lengthBytes }, patternBytes(1, offset, lengthBytes));

async function fetchInto(client: HttpClient, sink: MemorySink, signal = never): Promise<ResponseHead> {
  try {
    return await client.request(get, () => sink, signal);
  } finally {
    sink.settle();
  }
}

async function failsWith(code: ErrorCode, client: HttpClient, lengthBytes: number): Promise<MemorySink> {
  const sink = new MemorySink(lengthBytes);
  await rejectsWith(code, fetchInto(client, sink));
  await settle();
  sink.assertUntouched();
  assertPattern(sink.received, 1, 0);
  return sink;
}

/** Every test that is not about TLS itself runs over both. */
for (const protocol of ["http:", "https:"] as const) {
  suite(`HttpClient over ${protocol}`, () => {
    const opened: { close(): unknown }[] = [];
    afterEach(async () => {
      for (const each of opened.splice(0)) await each.close();
    });

    async function serve(
      onRequest: (request: ScriptedRequest) => void,
      options: Partial<HttpClientOptions> = {},
    ): Promise<{ client: HttpClient; server: ScriptedServer }> {
      const server = await ScriptedServer.start(onRequest, protocol === "https:" ? certificate : undefined);
      const client = new HttpClient({
        server: { protocol, host: "127.0.0.1", port: server.port },
        faults: originFaults,
        clock: new SystemClock(),
        connectTimeoutMs: 10_000,
        attemptTimeoutMs: 10_000,
        stallTimeoutMs: 10_000,
        connectionsIdleMax: 2,
        tls: { ca: certificate.cert },
        ...options,
      });
      opened.push(client, server);
      return { client, server };
    }

    test("request: the path and the headers are sent as they are", async () => {
      const { client, server } = await serve(({ socket }) => socket.write(ok(0)));
      await client.request(get, () => null, never);
      assert.equal(server.requests[0]?.head, 'GET /b/../k//%20 HTTP/1.1\r\nhost: h\r\nif-match: "e"');
    });

    test("request: a line break in a path or a header is invalid_request, and nothing is sent", async () => {
      const { client } = await serve(({ socket }) => socket.write(ok(0)));
      const headers = { host: "h", "if-match": '"e"\r\nx-evil: 1' };
      await rejectsWith(
        "invalid_request",
        client.request({ ...get, headers }, () => null, never),
      );
      await rejectsWith(
        "invalid_request",
        client.request({ ...get, path: "/a\n" }, () => null, never),
      );
      assert.equal(client.stats.connectionsOpened, 0);
    });

    test("request: head and body in one write", async () => {
      const { client } = await serve(({ socket }) => socket.write(ok(1000)));
      const sink = new MemorySink(1000);
      const head = await fetchInto(client, sink);
      assert.equal(head.status, 200);
      assert.equal(sink.receivedBytes, 1000);
      assertPattern(sink.received, 1, 0);
      sink.assertUntouched();
    });

    test("request: an answer split in two at every byte is the same answer", async () => {
      const interim = Buffer.from("HTTP/1.1 100 Continue\r\n\r\n");
      const answer = Buffer.concat([interim, ok(7)]);
      const { client } = await serve((request) => {
        const at = request.index + 1;
        void inPieces(request, [answer.subarray(0, at), answer.subarray(at)]);
      });
      for (let at = 1; at < answer.length; at += 1) {
        const sink = new MemorySink(7);
        await fetchInto(client, sink);
        assertPattern(sink.received, 1, 0);
        assert.equal(sink.receivedBytes, 7);
      }
      assert.equal(client.stats.connectionsOpened, 1);
    });

    test("request: a body of several MiB fills one space after the other", async () => {
      const lengthBytes = 3 * MiB + 17;
      const { client } = await serve(({ socket }) => socket.write(ok(lengthBytes)));
      for (let round = 0; round < 2; round += 1) {
        const sink = new MemorySink(lengthBytes);
        await fetchInto(client, sink);
        assert.equal(sink.receivedBytes, lengthBytes);
        assertPattern(sink.received, 1, 0);
        sink.assertUntouched();
      }
      assert.equal(client.stats.connectionsReused, 1);
    });

    test("request: an empty body needs no space", async () => {
      const { client } = await serve(({ socket }) => socket.write(ok(0)));
      const sink = new MemorySink(0);
      await fetchInto(client, sink);
      sink.assertUntouched();
      assert.equal(client.connectionsIdle, 1);
    });

    test("request: a HEAD, a 204 and a 304 have no body, whatever Content-Length says", async () => {
      const { client } = await serve(({ socket, index }) =>
        socket.write(response([200, 204, 304][index] ?? 500, { "Content-Length": 5000 })),
      );
      const head = await client.request({ ...get, method: "HEAD" }, () => null, never);
      assert.equal(head.contentLength, 5000);
      await client.request(get, () => null, never);
      await client.request(get, () => null, never);
      assert.equal(client.stats.connectionsOpened, 1);
    });

    test("request: a small body that nobody wants is read away and the connection kept", async () => {
      const { client } = await serve((request) => {
        const body = Buffer.alloc(60_000, "x");
        if (request.index === 0) void inPieces(request, [response(503, { "Content-Length": 60_000 }), body]);
        else request.socket.write(ok(3));
      });
      assert.equal((await client.request(get, () => null, never)).status, 503);
      while (client.connectionsIdle === 0) await settle();
      const sink = new MemorySink(3);
      await fetchInto(client, sink);
      assertPattern(sink.received, 1, 0);
      assert.equal(client.stats.connectionsOpened, 1);
    });

    for (const [name, headers] of Object.entries({
      "a large one": { "Content-Length": 65_537 },
      "a chunked one": { "Transfer-Encoding": "chunked" },
      "one without a length": {},
      "one on a connection that closes": { "Content-Length": 1, Connection: "close" },
    })) {
      test(`request: of bodies that nobody wants, ${name} ends the connection`, async () => {
        const { client } = await serve(({ socket }) => socket.write(response(500, headers)));
        await client.request(get, () => null, never);
        await client.request(get, () => null, never);
        assert.equal(client.stats.connectionsOpened, 2);
      });
    }

    test("request: what onHead throws is what is thrown, and the sink of nobody is touched", async () => {
      const { client } = await serve(({ socket }) => socket.write(ok(5)));
      const refusal = new Error("not this one");
      const refuse = (): never => {
        throw refusal;
      };
      await assert.rejects(client.request(get, refuse, never), refusal);
      await assert.rejects(client.request(get, refuse, never), refusal);
      assert.equal(client.stats.connectionsOpened, 1);
    });

    test("request: a chunked 2xx body, or one without a length, is origin_unsupported", async () => {
      const { client } = await serve(({ socket, index }) =>
        socket.write(
          response(200, index === 0 ? { "Transfer-Encoding": "chunked", "Content-Length": 5 } : {}),
        ),
      );
      await failsWith("origin_unsupported", client, 5);
      await failsWith("origin_unsupported", client, 5);
    });

    test("request: a body that ends early is origin_unavailable, with a true prefix in the sink", async () => {
      const { client } = await serve(({ socket }) => socket.end(ok(5000).subarray(0, -3000)));
      assert.equal((await failsWith("origin_unavailable", client, 5000)).receivedBytes, 2000);
    });

    test("request: a connection that breaks inside the head is origin_unavailable, and not tried again", async () => {
      const { client, server } = await serve(({ socket, index }) => {
        if (index === 0) socket.write(ok(1));
        else socket.end("HTTP/1.1 20");
      });
      await fetchInto(client, new MemorySink(1));
      await failsWith("origin_unavailable", client, 5);
      assert.equal(server.requests.length, 2);
    });

    test("request: bytes behind the body end the connection, not the answer", async () => {
      const { client } = await serve(({ socket }) =>
        socket.write(Buffer.concat([ok(5), Buffer.from("surplus")])),
      );
      for (let round = 0; round < 2; round += 1) {
        const sink = new MemorySink(5);
        await fetchInto(client, sink);
        assertPattern(sink.received, 1, 0);
      }
      await settle();
      assert.equal(client.stats.connectionsOpened, 2);
      assert.equal(client.connectionsIdle, 0);
    });

    test("request: bytes on an idle connection end it", async () => {
      const { client, server } = await serve(({ socket }) => socket.write(ok(5)));
      await fetchInto(client, new MemorySink(5));
      server.sockets[0]?.write(ok(5));
      while (client.connectionsIdle > 0) await settle();
      const sink = new MemorySink(5);
      await fetchInto(client, sink);
      assert.equal(client.stats.connectionsOpened, 2);
    });

    for (const [name, bytes] of Object.entries({
      "what is not HTTP": Buffer.from("SSH-2.0-OpenSSH_9.9\r\n"),
      "a malformed head": Buffer.from("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n12345"),
      "101 to no upgrade": Buffer.from("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
      "a head of more than 64 KiB": response(200, { A: "a".repeat(70_000) }),
      "endless 1xx heads": Buffer.from("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(4000)),
    })) {
      test(`request: ${name} is origin_unavailable`, async () => {
        const { client } = await serve(({ socket }) => socket.write(bytes));
        await failsWith("origin_unavailable", client, 5);
      });
    }

    test("request: a head of almost 64 KiB is read, in pieces, with the start of the body behind it", async () => {
      const answer = response(200, { A: "a".repeat(64_000), "Content-Length": 9 }, patternBytes(1, 0, 9));
      const { client } = await serve((request) => {
        const pieces = [0, 1, 2, 3].map((part) => answer.subarray(part * 16_100, (part + 1) * 16_100));
        void inPieces(request, pieces);
      });
      for (let round = 0; round < 2; round += 1) {
        const sink = new MemorySink(9);
        const head = await fetchInto(client, sink);
        assert.equal(head.headers.get("a")?.length, 64_000);
        assertPattern(sink.received, 1, 0);
      }
      assert.equal(client.stats.connectionsOpened, 1);
    });

    test("request: connections are reused, the last one first, and no more than connectionsIdleMax kept", async () => {
      const waiting: ScriptedRequest[] = [];
      const { client, server } = await serve((request) => {
        waiting.push(request);
        if (request.index < 2) return;
        for (const { socket } of waiting.splice(0)) socket.write(ok(1));
      });
      await Promise.all([1, 2, 3].map(() => fetchInto(client, new MemorySink(1))));
      assert.equal(client.connectionsIdle, 2);
      for (let round = 0; round < 3; round += 1) await fetchInto(client, new MemorySink(1));
      const used = server.requests.slice(3).map(({ connection }) => connection);
      assert.equal(new Set(used).size, 1);
      assert.deepEqual(client.stats, { connectionsOpened: 3, connectionsReused: 3, staleRetries: 0 });
    });

    test("request: HTTP/1.0 and Connection: close are not reused", async () => {
      const { client } = await serve(({ socket, index }) => {
        if (index === 0) socket.write("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
        else socket.write(response(200, { Connection: "close", "Content-Length": 0 }));
      });
      for (let round = 1; round <= 3; round += 1) {
        await fetchInto(client, new MemorySink(0));
        assert.equal(client.stats.connectionsOpened, round);
      }
    });

    test("request: a kept connection that dies unanswered is replaced once, unseen", async () => {
      const { client } = await serve(({ socket, connection, index }) => {
        if (connection === 0 && index > 0) socket.destroy();
        else socket.write(ok(4));
      });
      await fetchInto(client, new MemorySink(4));
      const sink = new MemorySink(4);
      await fetchInto(client, sink);
      assertPattern(sink.received, 1, 0);
      assert.deepEqual(client.stats, { connectionsOpened: 2, connectionsReused: 1, staleRetries: 1 });
    });

    test("request: a new connection that dies unanswered is origin_unavailable, without a second one", async () => {
      const { client } = await serve(({ socket }) => socket.destroy());
      await failsWith("origin_unavailable", client, 4);
      assert.equal(client.stats.connectionsOpened, 1);
    });

    test("request: an origin that is not there is origin_unavailable", async () => {
      const { client, server } = await serve(() => {});
      await server.close();
      opened.pop();
      await failsWith("origin_unavailable", client, 4);
    });

    test("request: no head within attemptTimeoutMs is origin_unavailable, on a kept connection too, not tried again", async () => {
      const clock = new FakeClock();
      const { client, server } = await serve(
        ({ socket, index }) => void (index === 0 && socket.write(ok(1))),
        {
          clock,
          attemptTimeoutMs: 300,
        },
      );
      await fetchInto(client, new MemorySink(1));
      const failed = failsWith("origin_unavailable", client, 5);
      while (server.requests.length < 2) await settle();
      server.requests[1]?.socket.write("HTTP/1.1 2");
      await clock.advance(299);
      assert.equal(clock.pendingTimers, 1);
      await clock.advance(1);
      await failed;
      assert.equal(server.requests.length, 2);
      assert.equal(clock.pendingTimers, 0);
    });

    test("request: a body that stalls is origin_unavailable; one that goes on has all the time it needs", async () => {
      const clock = new FakeClock();
      const { client, server } = await serve(({ socket }) => socket.write(ok(100).subarray(0, -50)), {
        clock,
        stallTimeoutMs: 200,
      });
      const sink = new MemorySink(100);
      const settled = fetchInto(client, sink);
      const received = async (bytes: number): Promise<void> => {
        while (sink.receivedBytes < bytes) await settle();
      };
      for (let count = 50; count < 55; count += 1) {
        await received(count);
        await clock.advance(199);
        server.sockets[0]?.write(patternBytes(1, count, 1));
      }
      await received(55);
      const failed = assert.rejects(settled, /no byte of the body within 200 ms/);
      await clock.advance(200);
      await failed;
      assert.equal(sink.receivedBytes, 55);
      assertPattern(sink.received, 1, 0);
      assert.equal(clock.pendingTimers, 0);
    });

    test("request: an idle connection is closed after idleTimeoutMs", async () => {
      const clock = new FakeClock();
      const { client } = await serve(({ socket }) => socket.write(ok(1)), { clock, idleTimeoutMs: 1000 });
      await fetchInto(client, new MemorySink(1));
      await clock.advance(999);
      assert.equal(client.connectionsIdle, 1);
      await clock.advance(1);
      assert.equal(client.connectionsIdle, 0);
      assert.equal(clock.pendingTimers, 0);
    });

    test("request: an aborted signal asks nothing", async () => {
      const { client, server } = await serve(({ socket }) => socket.write(ok(1)));
      const reason = new Error("gone");
      await assert.rejects(
        client.request(get, () => null, AbortSignal.abort(reason)),
        reason,
      );
      assert.equal(client.stats.connectionsOpened, 0);
      assert.equal(server.requests.length, 0);
    });

    test("request: an abort before the head rejects with its reason and opens no second connection", async () => {
      const abort = new AbortController();
      const reason = new Error("gone");
      const { client } = await serve(({ socket, index }) => {
        if (index === 0) socket.write(ok(1));
        else abort.abort(reason);
      });
      await fetchInto(client, new MemorySink(1));
      await assert.rejects(fetchInto(client, new MemorySink(1), abort.signal), reason);
      assert.equal(client.stats.connectionsOpened, 1);
    });

    for (const how of ["inside advance", "in a microtask of advance", "in a later turn"] as const) {
      test(`request: an abort ${how} leaves a true prefix and no later touch`, async () => {
        const lengthBytes = 4 * MiB;
        const { client } = await serve(({ socket }) => socket.write(ok(lengthBytes)));
        const abort = new AbortController();
        const reason = new Error("gone");
        const sink = new MemorySink(lengthBytes);
        sink.onAdvance = (receivedBytes) => {
          if (receivedBytes < 10_000) return;
          if (how === "inside advance") abort.abort(reason);
          else if (how === "in a later turn") setImmediate(() => abort.abort(reason));
          else queueMicrotask(() => abort.abort(reason));
        };
        await assert.rejects(fetchInto(client, sink, abort.signal), reason);
        for (let turn = 0; turn < 20; turn += 1) await settle();
        sink.assertUntouched();
        assertPattern(sink.received, 1, 0);
        assert.ok(sink.receivedBytes < lengthBytes);
      });
    }

    test("request: a signal outlives its request and holds nothing of it", async () => {
      const { client } = await serve(({ socket }) => socket.write(ok(1)));
      const abort = new AbortController();
      await fetchInto(client, new MemorySink(1), abort.signal);
      abort.abort();
      await settle();
      assert.equal(client.connectionsIdle, 1);
    });

    test("request: large bodies side by side arrive whole, in turns", async () => {
      const lengthBytes = 8 * MiB;
      const { client } = await serve(({ socket }) => socket.write(ok(lengthBytes)));
      const sinks = Array.from({ length: 6 }, () => new MemorySink(lengthBytes));
      for (let time = 0; time < 2; time += 1) {
        await Promise.all(sinks.slice(3 * time, 3 * time + 3).map((sink) => fetchInto(client, sink)));
      }
      for (const sink of sinks) assertPattern(sink.received, 1, 0);
    });

    test("close: idle connections close at once, one in use when it comes free", async () => {
      const { client, server } = await serve(({ socket, index }) => void (index < 2 && socket.write(ok(1))));
      await Promise.all([fetchInto(client, new MemorySink(1)), fetchInto(client, new MemorySink(1))]);
      const sink = new MemorySink(1);
      const settled = fetchInto(client, sink);
      while (server.requests.length < 3) await settle();
      client.close();
      assert.equal(client.connectionsIdle, 0);
      server.requests[2]?.socket.write(ok(1));
      await settled;
      assert.equal(client.connectionsIdle, 0);
    });
  });
}

function open(port: number, options: Partial<HttpClientOptions>): HttpClient {
  return new HttpClient({
    server: { protocol: "https:", host: "localhost", port },
    faults: originFaults,
    clock: new SystemClock(),
    connectTimeoutMs: 10_000,
    attemptTimeoutMs: 10_000,
    stallTimeoutMs: 10_000,
    connectionsIdleMax: 1,
    ...options,
  });
}

suite("WireClient and TLS", () => {
  test("request: a certificate that nobody vouches for is origin_unavailable, and no request is sent", async () => {
    const server = await ScriptedServer.start(() => {}, certificate);
    const client = open(server.port, {});
    const { message } = await rejectsWith(
      "origin_unavailable",
      client.request(get, () => null, never),
    );
    assert.match(message, /self-signed certificate/);
    assert.equal(server.requests.length, 0);
    await server.close();
  });

  test("request: a certificate for another name is origin_unavailable", async () => {
    const server = await ScriptedServer.start(() => {}, certificate);
    const client = open(server.port, { tls: { ca: certificate.cert, servername: "other.example" } });
    await assert.rejects(
      client.request(get, () => null, never),
      /does not match certificate/,
    );
    await server.close();
  });

  test("request: a handshake that does not end within connectTimeoutMs is origin_unavailable", async () => {
    const clock = new FakeClock();
    const server = await ScriptedServer.start(() => {});
    const client = open(server.port, { clock, connectTimeoutMs: 400 });
    const failed = assert.rejects(
      client.request(get, () => null, never),
      /no connection within 400 ms/,
    );
    while (server.sockets.length === 0) await settle();
    await clock.advance(400);
    await failed;
    assert.equal(clock.pendingTimers, 0);
    await server.close();
  });
});
