/** What becomes of `orca serve` when its log cannot be written: the pipe is full, the disk is full, the reader has left. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, TestProcess } from "../support/process.ts";

const main = join(import.meta.dirname, "../../src/main.ts");
/** A bug that comes when the test wants it. */
const bug = `process.on("SIGUSR2", () => { throw new Error("a bug of the test"); })`;
const bugOnSignal = ["--import", `data:text/javascript,${encodeURIComponent(bug)}`];

const startsWithinMs = 20_000;
const answersWithinMs = 5000;
const endsWithinMs = 8000;

interface Served {
  readonly child: TestProcess;
  /** The status of a GET of `key`, within the deadline. */
  readonly get: (key: string) => Promise<number>;
  readonly metric: (name: string) => Promise<number>;
  /** Sends a signal, SIGTERM by default. Resolves with the exit code, within the deadline. */
  readonly end: (signal?: NodeJS.Signals) => Promise<number | null | string>;
}

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "orca-log-"));
  context.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "hello.txt"), "hello");
  return folder;
}

function ask(url: string): Promise<Response> {
  return fetch(url, { signal: AbortSignal.timeout(answersWithinMs) });
}

/** Serves a directory, and logs each request to `stdout`. Resolves when it is ready. */
async function serve(context: TestContext, folder: string, stdout?: number): Promise<Served> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const settings = {
    // Lines about requests to two threads may change places.
    server: { listen: `127.0.0.1:${port}`, ops_listen: `127.0.0.1:${opsPort}`, threads: 1 },
    origin: { id: "o", driver: "file", buckets: { b: {} }, file: { root: folder } },
    memory: { max_bytes: "256MiB" },
    logging: { level: "debug" },
  };
  const file = join(folder, "orca.yaml");
  writeFileSync(file, JSON.stringify(settings));
  const child = new TestProcess("orca", process.execPath, [...bugOnSignal, main, "serve", "--config", file], {
    ...(stdout !== undefined && { stdout }),
  });
  context.after(() => child.stop());
  const deadline = Date.now() + startsWithinMs;
  for (;;) {
    const ready = await ask(`http://127.0.0.1:${opsPort}/readyz`).catch(() => undefined);
    if (ready?.ok) break;
    if (!child.running || Date.now() > deadline) throw child.failure("did not become ready");
    await sleep(50);
  }
  return {
    child,
    get: async (key) => {
      const response = await ask(`http://127.0.0.1:${port}/b/${key}`);
      await response.arrayBuffer();
      return response.status;
    },
    metric: async (name) => {
      const text = await (await ask(`http://127.0.0.1:${opsPort}/metrics`)).text();
      return Number(new RegExp(`^${name} (.+)$`, "m").exec(text)?.[1]);
    },
    end: (signal = "SIGTERM") => {
      child.signal(signal);
      return Promise.race([child.exited, sleep(endsWithinMs, "still runs", { ref: false })]);
    },
  };
}

interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** A pipe that nobody reads unless the test does. */
function pipeOf(context: TestContext, folder: string): Pipe {
  const path = join(folder, "log.fifo");
  execFileSync("mkfifo", [path]);
  // Opened apart, because a child that gets one end sets it to blocking.
  const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writeFd = openSync(path, constants.O_WRONLY);
  context.after(() => {
    for (const fd of [readFd, writeFd]) closeSync(fd);
  });
  return { readFd, writeFd };
}

function readAll(fd: number): string {
  const block = Buffer.alloc(65_536);
  let text = "";
  for (;;) {
    try {
      text += block.toString("utf8", 0, readSync(fd, block));
    } catch {
      return text;
    }
  }
}

test("orca serve: a log that nobody reads holds up neither requests nor the stop", async (context) => {
  const folder = folderOf(context);
  const { get, end } = await serve(context, folder, pipeOf(context, folder).writeFd);
  // About 250 bytes each, into a pipe of 64 KiB.
  for (let index = 0; index < 600; index += 1) assert.equal(await get("hello.txt"), 200);
  assert.equal(await end(), 0);
});

test("orca serve: a log reader that stalled gets every line in order when it reads on", async (context) => {
  const folder = folderOf(context);
  const { readFd, writeFd } = pipeOf(context, folder);
  const { child, get, end } = await serve(context, folder, writeFd);
  for (let index = 0; index < 600; index += 1) assert.equal(await get(`missing-${index}`), 404);
  let text = readAll(readFd);
  const ended = end();
  while (child.running) {
    await Promise.race([child.exited, sleep(10)]);
    text += readAll(readFd);
  }
  assert.equal(await ended, 0);
  const events = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { msg: string; key?: string });
  assert.deepEqual(
    events.flatMap(({ msg, key }) => (msg === "Answered a request" ? [key] : [])),
    Array.from({ length: 600 }, (_, index) => `missing-${index}`),
  );
  assert.equal(events.at(-1)?.msg, "Stopped");
});

test("orca serve: a log on a full disk costs lines and nothing else, and its loss is told", async (context) => {
  const full = openSync("/dev/full", "w");
  context.after(() => closeSync(full));
  const { child, get, end } = await serve(context, folderOf(context), full);
  for (let index = 0; index < 20; index += 1) assert.equal(await get("hello.txt"), 200);
  assert.equal(await end(), 0);
  assert.match(child.output.join("\n"), /^orca: Cannot write the last \d+ lines of the log: ENOSPC/m);
});

test("orca serve: it goes on after the reader of its log has left", async (context) => {
  const folder = folderOf(context);
  const { child, get, end } = await serve(context, folder);
  child.closeOutput();
  for (let index = 0; index < 20; index += 1) assert.equal(await get("hello.txt"), 200);
  assert.equal(await end(), 0);
});

test("orca serve: a log that is read has every line, in order, to the last", async (context) => {
  const { child, get, end, metric } = await serve(context, folderOf(context));
  for (let index = 0; index < 50; index += 1) await get(`missing-${index}`);
  assert.equal(await metric("orca_log_lines_dropped_total"), 0);
  assert.equal(await end(), 0);
  const events = child.output.map((line) => JSON.parse(line) as { msg: string; key?: string });
  assert.deepEqual(
    events.flatMap(({ msg, key }) => (msg === "Answered a request" ? [key] : [])),
    Array.from({ length: 50 }, (_, index) => `missing-${index}`),
  );
  assert.equal(events.at(-1)?.msg, "Stopped");
});

test("orca serve: the line of a bug is the last of the log, and the exit code is 70", async (context) => {
  const { child, end } = await serve(context, folderOf(context));
  assert.equal(await end("SIGUSR2"), 70);
  const { level, msg, error } = JSON.parse(child.output.at(-1) ?? "") as Record<string, unknown>;
  assert.deepEqual([level, msg], ["error", "Orca met a bug and ends. Please report this line."]);
  assert.equal((error as { message: string }).message, "a bug of the test");
});

test("orca serve: the line of a bug is in a log file, too", async (context) => {
  const folder = folderOf(context);
  const path = join(folder, "orca.log");
  const fd = openSync(path, "a");
  context.after(() => closeSync(fd));
  const { get, end } = await serve(context, folder, fd);
  await get("hello.txt");
  assert.equal(await end("SIGUSR2"), 70);
  assert.match(readFileSync(path, "utf8"), /"msg":"Orca met a bug and ends[^\n]*\n$/);
});

test("orca serve: stderr has a bug that the log cannot take", async (context) => {
  const folder = folderOf(context);
  const { child, get, end } = await serve(context, folder, pipeOf(context, folder).writeFd);
  for (let index = 0; index < 400; index += 1) await get("hello.txt");
  assert.equal(await end("SIGUSR2"), 70);
  assert.match(child.output.join("\n"), /^Error: a bug of the test$/m);
});
