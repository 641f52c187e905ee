/** Requests with a body: what the server gets, and when what was lent for it is free again. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, suite, test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { HttpClient, type HttpClientOptions } from "../../src/http-client/http-client.ts";
import { originFaults } from "../../src/origin/origin-faults.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";
import { MemorySink } from "../support/memory-sink.ts";
import { fillPattern, PatternChecker, patternBytes } from "../support/pattern.ts";
import { rejectsWith } from "../support/rejects-with.ts";
import { response, ScriptedServer } from "../support/scripted-server.ts";

const certificate = selfSignedCertificate();
const never = new AbortController().signal;

/** In shared memory, as segments are. */
function slicesOf(lengthBytes: number): Buffer[] {
  const slices: Buffer[] = [];
  for (let offset = 0; offset < lengthBytes; offset += MiB) {
    const slice = Buffer.from(new SharedArrayBuffer(Math.min(MiB, lengthBytes - offset)));
    fillPattern(slice, 1, offset);
    slices.push(slice);
  }
  return slices;
}

const put = (lengthBytes: number) =>
  ({ method: "PUT", path: "/b/k", headers: { host: "h" }, body: slicesOf(lengthBytes) }) as const;

/** More than what the kernels of both ends take while nobody reads. */
const endlessBytes = 64 * MiB;

for (const protocol of ["http:", "https:"] as const) {
  suite(`HttpClient: request bodies over ${protocol}`, () => {
    const opened: { close(): unknown }[] = [];
    afterEach(async () => {
      for (const each of opened.splice(0)) await each.close();
    });

    const tls = protocol === "https:" ? certificate : undefined;

    function clientOf(port: number, options: Partial<HttpClientOptions> = {}): HttpClient {
      const client = new HttpClient({
        server: { protocol, host: "127.0.0.1", port },
        faults: originFaults,
        clock: new SystemClock(),
        connectTimeoutMs: 10_000,
        attemptTimeoutMs: 10_000,
        stallTimeoutMs: 10_000,
        connectionsIdleMax: 2,
        tls: { ca: certificate.cert },
        ...options,
      });
      opened.push(client);
      return client;
    }

    /** A server that reads bodies to their end. */
    async function serve(
      answer: (request: IncomingMessage, response: ServerResponse) => void,
    ): Promise<HttpClient> {
      const server = tls ? createTlsServer(tls, answer) : createServer(answer);
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      opened.push({
        close: () => {
          server.closeAllConnections();
          server.close();
        },
      });
      return clientOf((server.address() as AddressInfo).port);
    }

    /** A server that answers when the head is there and reads no body. */
    async function serveEarly(
      bytes: Buffer | undefined,
      options: Partial<HttpClientOptions> = {},
    ): Promise<{ client: HttpClient; server: ScriptedServer }> {
      const server = await ScriptedServer.start(({ socket }) => {
        socket.pause();
        if (bytes) socket.write(bytes);
      }, tls);
      opened.push(server);
      return { client: clientOf(server.port, options), server };
    }

    test("request: the slices arrive as one body of known length, and the connection is kept", async () => {
      const lengthBytes = 5 * MiB + 17;
      const checkers: PatternChecker[] = [];
      const client = await serve((request, answer) => {
        assert.equal(request.headers["content-length"], String(lengthBytes));
        assert.equal(request.headers["transfer-encoding"], undefined);
        const checker = new PatternChecker(1);
        checkers.push(checker);
        request.on("data", (data: Buffer) => checker.update(data));
        request.on("end", () => answer.writeHead(200, { "content-length": 0 }).end());
      });
      for (let round = 0; round < 2; round += 1) {
        assert.equal((await client.request(put(lengthBytes), () => null, never)).status, 200);
      }
      assert.deepEqual(
        checkers.map(({ offset }) => offset),
        [lengthBytes, lengthBytes],
      );
      assert.deepEqual(client.stats, { connectionsOpened: 1, connectionsReused: 1, staleRetries: 0 });
    });

    test("request: a DELETE has no body and no length", async () => {
      const client = await serve((request, answer) => {
        assert.equal(request.method, "DELETE");
        assert.equal(request.headers["content-length"], undefined);
        answer.writeHead(204).end();
      });
      const request = { method: "DELETE", path: "/b/k", headers: { host: "h" } } as const;
      assert.equal((await client.request(request, () => null, never)).status, 204);
      assert.equal(client.connectionsIdle, 1);
    });

    test("request: a refusal before the end of the body is the answer, and ends the connection", async () => {
      const { client } = await serveEarly(response(403, { "Content-Length": 0 }));
      assert.equal((await client.request(put(endlessBytes), () => null, never)).status, 403);
      assert.equal(client.connectionsIdle, 0);
    });

    test("request: the body of an early refusal can be read", async () => {
      const { client } = await serveEarly(response(403, { "Content-Length": 500 }, patternBytes(2, 0, 500)));
      const sink = new MemorySink(500);
      assert.equal((await client.request(put(endlessBytes), () => sink, never)).status, 403);
      sink.settle();
      sink.assertUntouched();
      assert.deepEqual(sink.received, patternBytes(2, 0, 500));
      assert.equal(client.connectionsIdle, 0);
    });

    test("request: what onHead throws at an early refusal is what is thrown", async () => {
      const { client } = await serveEarly(response(403, { "Content-Length": 0 }));
      const refusal = new Error("not this one");
      const refuse = (): never => {
        throw refusal;
      };
      await assert.rejects(client.request(put(endlessBytes), refuse, never), refusal);
    });

    test("request: an acceptance before the end of the body is unavailable", async () => {
      const { client } = await serveEarly(response(200, { "Content-Length": 0 }));
      await rejectsWith(
        "origin_unavailable",
        client.request(put(endlessBytes), () => null, never),
      );
    });

    test("request: a server that takes nothing for stallTimeoutMs is unavailable", async () => {
      const clock = new FakeClock();
      const { client, server } = await serveEarly(undefined, { clock, stallTimeoutMs: 300 });
      const failed = rejectsWith(
        "origin_unavailable",
        client.request(put(endlessBytes), () => null, never),
      );
      while (server.requests.length === 0) await settle();
      await clock.advance(300);
      assert.match((await failed).message, /no byte of the request taken within 300 ms/);
      assert.equal(clock.pendingTimers, 0);
    });

    test("request: the time for an answer begins when the body is sent", async () => {
      const clock = new FakeClock();
      const { client, server } = await serveEarly(undefined, {
        clock,
        attemptTimeoutMs: 200,
        stallTimeoutMs: 300,
      });
      const failed = rejectsWith(
        "origin_unavailable",
        client.request(put(100), () => null, never),
      );
      while (server.requests.length === 0) await settle();
      await clock.advance(200);
      assert.match((await failed).message, /no response head within 200 ms/);
    });

    test("request: an abort while the body is being sent settles when the socket has let go of it", async () => {
      const abort = new AbortController();
      const reason = new Error("gone");
      const { client, server } = await serveEarly(undefined);
      const failed = assert.rejects(
        client.request(put(endlessBytes), () => null, abort.signal),
        reason,
      );
      while (server.requests.length === 0) await settle();
      abort.abort(reason);
      await failed;
      assert.equal(client.connectionsIdle, 0);
    });

    test("request: on a connection that has gone stale the body is sent again, on a new one", async () => {
      const lengths: number[] = [];
      const client = await serve((request, answer) => {
        let lengthBytes = 0;
        request.on("data", (data: Buffer) => {
          lengthBytes += data.length;
        });
        request.on("end", () => {
          lengths.push(lengthBytes);
          if (lengths.length === 2) request.socket.destroy();
          else answer.writeHead(200, { "content-length": 0 }).end();
        });
      });
      for (let round = 0; round < 2; round += 1) await client.request(put(MiB + 1), () => null, never);
      assert.deepEqual(lengths, [MiB + 1, MiB + 1, MiB + 1]);
      assert.equal(client.stats.staleRetries, 1);
    });
  });
}
