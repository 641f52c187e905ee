import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { nextTurn } from "../../src/base/clock.ts";
import type { OrcaError } from "../../src/base/orca-error.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { ObjectTransfer } from "../../src/edge/object-transfer.ts";
import { TransferTurns, TurnTaker } from "../../src/edge/transfer-turns.ts";
import type { BodyReader } from "../../src/fill/bodies.ts";
import { ObjectReader } from "../../src/fill/object-reader.ts";
import { settle } from "../support/fake-clock.ts";
import { type FillFixtureOptions, fillFixture } from "../support/fill-fixture.ts";
import { PatternChecker } from "../support/pattern.ts";

const sizeBytes = 5 * MiB + 17;

/**
 * Objects named by their seeds, sent by nothing but transfers over real sockets. Memory that goes back to the pool is
 * overwritten, so bytes that are released before the kernel has them arrive as wrong bytes.
 */
async function fixture(context: TestContext, options: FillFixtureOptions = {}) {
  const parts = fillFixture({ chunkSizeBytes: 2 * MiB, ...options });
  parts.origin.seedOf = (request) => Number(request.key);
  const broken: OrcaError[] = [];
  const writtenBytes: number[] = [];
  const pace = { sending: (lengthBytes: number) => writtenBytes.push(lengthBytes), taken: () => {} };
  const turns = new TransferTurns();
  let open = 0;
  const server = createServer((request, response) => {
    const version = parts.version(request.url?.slice(1) ?? "", sizeBytes);
    const reader = new ObjectReader(parts.path, version, 0, sizeBytes);
    open += 1;
    response.once("close", () => {
      reader.close();
      open -= 1;
    });
    const send = async (): Promise<void> => {
      // As the listener does: a response has no bytes of its own before it is its turn on the connection.
      if (response.socket === null) await once(response, "socket");
      let first = reader.take();
      for (; first === null; first = reader.take()) {
        await reader.ready();
        if (response.destroyed) return;
      }
      response.writeHead(200, { "Content-Length": sizeBytes });
      new ObjectTransfer(turns, response, reader, pace, (error) => broken.push(error)).begin(first);
    };
    void send();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { ...parts, port, turns, broken, writtenBytes, openResponses: () => open };
}

/** Sends `requests` for objects at once and checks every byte that comes back. */
class CheckedClient {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  readonly #seeds: number[];
  #head = "";
  #checker: PatternChecker | undefined;
  bodiesComplete = 0;

  constructor(port: number, seeds: readonly number[]) {
    this.#seeds = [...seeds];
    this.socket = connect(port, "127.0.0.1");
    this.closed = new Promise((resolve) => this.socket.on("close", resolve));
    this.socket.on("error", () => {});
    this.socket.on("data", (piece: Buffer) => this.#check(piece));
    this.socket.write(seeds.map((seed) => `GET /${seed} HTTP/1.1\r\nHost: h\r\n\r\n`).join(""));
  }

  #check(piece: Buffer): void {
    let rest = piece;
    while (rest.length > 0) {
      if (!this.#checker) {
        this.#head += rest.toString("latin1");
        const end = this.#head.indexOf("\r\n\r\n");
        if (end < 0) return;
        rest = rest.subarray(rest.length - (this.#head.length - end - 4));
        assert.match(this.#head, /^HTTP\/1\.1 200 /);
        this.#head = "";
        this.#checker = new PatternChecker(this.#seeds.shift() ?? -1);
      }
      const body = rest.subarray(0, sizeBytes - this.#checker.offset);
      this.#checker.update(body);
      rest = rest.subarray(body.length);
      if (this.#checker.offset < sizeBytes) continue;
      this.#checker = undefined;
      this.bodiesComplete += 1;
      if (this.#seeds.length === 0) this.socket.end();
    }
  }
}

test("ObjectTransfer: nobody gets a byte of released memory, whoever dawdles, pipelines or goes away", async (context) => {
  const { origin, port, budget, memory, filler, openResponses } = await fixture(context, {
    maxBytes: 16 * MiB,
  });
  origin.auto = true;
  const random = new SeededRandom(7);
  const below = (limit: number): number => Math.floor(random.next() * limit);
  const client = async (index: number): Promise<void> => {
    const seeds = Array.from({ length: 1 + below(3) }, () => below(10));
    const goesAway = index % 3 === 0;
    const checked = new CheckedClient(port, seeds);
    const { socket } = checked;
    let untilRestBytes = below(2 * MiB);
    let rests = goesAway ? below(4) : 20;
    socket.on("data", (piece: Buffer) => {
      untilRestBytes -= piece.length;
      if (untilRestBytes > 0 || rests === 0) return;
      untilRestBytes = below(2 * MiB);
      rests -= 1;
      socket.pause();
      if (goesAway && rests === 0) socket.resetAndDestroy();
      else setImmediate(() => socket.resume());
    });
    await checked.closed;
    if (!goesAway) assert.equal(checked.bodiesComplete, seeds.length);
  };
  await Promise.all(Array.from({ length: 24 }, (_, index) => client(index)));
  while (openResponses() > 0 || filler.flightsInProgress > 0) await settle();
  assert.equal(budget.waiting, 0);
  memory.clear();
  assert.equal(budget.usedBytes, 0);
});

test("ObjectTransfer: in a crowd the first slice goes out in two parts, and all bytes are right", async (context) => {
  const { origin, port, turns, writtenBytes, openResponses } = await fixture(context);
  origin.auto = true;
  await readOnce(port);
  while (openResponses() > 0) await settle();
  writtenBytes.length = 0;
  let isOver = false;
  context.after(() => {
    isOver = true;
  });
  /** Waits again and again, and sends nothing. */
  class Bystander extends TurnTaker {
    takeTurn(): number {
      if (!isOver) turns.wait(this);
      return 0;
    }
  }
  for (let count = 0; count < 64; count += 1) turns.wait(new Bystander());
  await readOnce(port);
  assert.deepEqual(writtenBytes, [64 * KiB, MiB - 64 * KiB, MiB, MiB, MiB, MiB, 17]);
});

async function readOnce(port: number): Promise<void> {
  const client = new CheckedClient(port, [1]);
  await client.closed;
  assert.equal(client.bodiesComplete, 1);
}

/** Readers of two slices whose second one is ready in the same turn for all, as slices of the engine come to a thread. */
class SentReader implements BodyReader {
  readonly version = {} as BodyReader["version"];
  readonly source = "memory";
  readonly range = [0, 2 * MiB] as const;
  readonly keepsReady = true;
  takenBytes = 0;
  readonly #ready: Promise<void>;

  constructor(ready: Promise<void>) {
    this.#ready = ready;
  }

  get done(): boolean {
    return this.takenBytes === 2 * MiB;
  }

  take(): Buffer | null {
    if (this.takenBytes === MiB && !this.isReady) return null;
    this.takenBytes += MiB;
    return slice;
  }

  isReady = false;

  async ready(): Promise<void> {
    await this.#ready;
    this.isReady = true;
  }

  release(): void {}
  close(): void {}
}

const slice = Buffer.alloc(MiB);

test("ObjectTransfer: slices that come together for many are sent in turns of 4 MiB", async () => {
  const turns = new TransferTurns();
  const { promise, resolve } = Promise.withResolvers<void>();
  let ended = 0;
  const pace = { sending: () => {}, taken: () => {} };
  for (let client = 0; client < 10; client += 1) {
    const reader = new SentReader(promise);
    const response = {
      write: (_: Buffer, onWritten: () => void) => process.nextTick(onWritten),
      end: () => {
        ended += 1;
      },
      destroy: () => {},
      destroyed: false,
    };
    const transfer = new ObjectTransfer(turns, response, reader, pace, () => assert.fail("broken"));
    transfer.begin(reader.take() as Buffer);
    // Alone in its turn.
    await nextTurn();
    await nextTurn();
  }
  resolve();
  const perTurn: number[] = [];
  for (let turn = 0; turn < 6; turn += 1) {
    await nextTurn();
    perTurn.push(ended);
    ended = 0;
  }
  assert.deepEqual(
    perTurn.filter((sent) => sent > 0),
    [4, 4, 2],
  );
});
