import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Clock, SystemClock, type Timer } from "../../src/base/clock.ts";
import { MiB } from "../../src/base/units.ts";
import { version } from "../../src/cli/orca-command.ts";
import { settingRows } from "../../src/config/schema.ts";
import { declaredCommands, runOrca } from "../support/command-line.ts";
import { serverOn } from "../support/listening-servers.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-serve-command-"));
after(() => rmSync(folder, { recursive: true }));

interface Event {
  readonly msg: string;
  readonly s3?: string;
  readonly ops?: string;
  readonly buckets?: readonly string[];
  readonly memory?: string;
  readonly disk?: string;
  readonly version?: string;
  readonly replicaId?: string;
  readonly mesh?: string;
  readonly meshTls?: boolean;
  readonly replication?: number;
  readonly cachestore?: string;
  readonly reason?: string;
  readonly responsesCut?: number;
  readonly level?: string;
  readonly error?: { readonly message: string };
}

/** Serves until `whileServing` has returned. Resolves with the exit code and what was logged. */
async function serve(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  whileServing: (event: Event) => Promise<void>,
  clock: Clock = new SystemClock(),
  configFile?: string,
): Promise<{ exitCode: number; stderr: string; events: Event[] }> {
  const events: Event[] = [];
  const stop = Promise.withResolvers<string>();
  const serving = Promise.withResolvers<Event>();
  const running = runOrca(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", ...args], {
    // Clients are served here, so that a test reaches their listener.
    env: { ORCA_SERVER_THREADS: "1", ...env },
    clock,
    ...(configFile !== undefined && { configFile }),
    stopSignal: () => stop.promise,
    logStream: {
      write: (line) => {
        const event = JSON.parse(line) as Event;
        events.push(event);
        if (event.msg === "Serving") serving.resolve(event);
      },
    },
  });
  void running.then(({ stderr }) => serving.reject(new Error(`it ended before it served: ${stderr}`)));
  try {
    await whileServing(await serving.promise);
  } finally {
    stop.resolve("SIGTERM");
  }
  return { ...(await running), events };
}

test("orca serve --origin: serves a directory until the signal, and logs where and what", async () => {
  const served = join(folder, "served");
  mkdirSync(served);
  writeFileSync(join(served, "hello.txt"), "hello");
  const disk = join(folder, "disk");
  const args = [
    "--origin",
    `file://${served}`,
    "--memory",
    "256MiB",
    "--disk",
    disk,
    "--disk-size",
    "512MiB",
  ];
  const { exitCode, stderr, events } = await serve(args, {}, async ({ s3, buckets }) => {
    assert.equal(await (await fetch(`${s3}/${buckets?.[0]}/hello.txt`)).text(), "hello");
  });
  assert.deepEqual([exitCode, stderr], [0, ""]);
  const serving = events.find(({ msg }) => msg === "Serving");
  assert.deepEqual([serving?.memory, serving?.disk], ["256 MiB", `${disk} (512 MiB)`]);
  const { version: servedVersion, replicaId, mesh, meshTls, replication, cachestore } = serving ?? {};
  assert.deepEqual(
    [servedVersion, mesh, meshTls, replication, cachestore],
    [version, "none", false, 1, "none"],
  );
  assert.match(String(replicaId), /./);
  assert.deepEqual(
    events.filter(({ msg }) => msg.startsWith("Stop")).map(({ msg, reason }) => [msg, reason]),
    [
      ["Stopping: waiting for the responses in progress. A second signal stops at once", "SIGTERM"],
      ["Stopped", undefined],
    ],
  );
});

test("orca serve: a listener that dies ends the replica in order, with its reason and exit code 1", async () => {
  const { exitCode, stderr, events } = await serve(
    ["--origin", `file://${folder}`],
    {},
    async ({ s3 = "" }) => {
      serverOn(Number(new URL(s3).port)).emit("error", new Error("the socket is broken"));
    },
  );
  const message = "The listener for S3 clients died: the socket is broken";
  assert.deepEqual([exitCode, stderr], [1, `orca: ${message}\n`]);
  assert.deepEqual(
    events.map(({ msg }) => msg).filter((msg) => msg === message || msg === "Stopped"),
    [message, "Stopped"],
  );
});

test("orca log-level: a replica logs each request from then on", async () => {
  const { events } = await serve(["--origin", `file://${folder}`], {}, async ({ s3, ops = "" }) => {
    const read = async () => assert.equal((await fetch(`${s3}/`)).status, 200);
    await read();
    const { exitCode, stdout } = await runOrca(["log-level", "debug", "--for", "1m", "--ops", ops], {
      clock: new SystemClock(),
    });
    assert.equal(exitCode, 0);
    assert.match(stdout, /^debug until .*, then info\n$/);
    await read();
  });
  assert.equal(events.filter(({ msg }) => msg === "Answered a request").length, 1);
});

test("orca serve: a stop that cuts a response is exit code 3", async () => {
  writeFileSync(join(folder, "large"), Buffer.alloc(64 * MiB));
  const env = { ORCA_SERVER_DRAIN_TIMEOUT: "1s" };
  const { exitCode, events } = await serve(
    ["--origin", `file://${folder}`],
    env,
    async ({ s3 = "", buckets }) => {
      const { port } = new URL(s3);
      const client = connect(Number(port), "127.0.0.1").on("error", () => {});
      client.write(`GET /${buckets?.[0]}/large HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      await once(client, "data");
      client.pause();
    },
  );
  assert.equal(exitCode, 3);
  assert.equal(events.find(({ msg }) => msg === "Stopped")?.responsesCut, 1);
});

/** Fails whoever asks for the timer of the drain. */
class FailingClock extends SystemClock {
  override timer(delayMs: number, callback: () => void): Timer {
    if (delayMs === 7000) throw new Error("the clock is broken");
    return super.timer(delayMs, callback);
  }
}

test("orca serve: a stop with a part that fails is exit code 3, and both streams name it", async () => {
  const env = { ORCA_SERVER_DRAIN_TIMEOUT: "7s" };
  const { exitCode, stderr, events } = await serve(
    ["--origin", `file://${folder}`],
    env,
    async () => {},
    new FailingClock(),
  );
  const message = "Cannot stop cleanly: Cannot drain the S3 listener: the clock is broken";
  assert.deepEqual([exitCode, stderr], [3, `orca: ${message}\n`]);
  const { level, error } = events.at(-1) ?? {};
  assert.deepEqual([level, error?.message], ["error", message]);
});

test("orca serve --config: an option overrides the environment, and that the file", async () => {
  const file = join(folder, "orca.yaml");
  writeFileSync(
    file,
    `origin: { id: o, driver: file, file: { root: ${folder} } }
memory: { max_bytes: 257MiB }
logging: { level: warn }
`,
  );
  const env = { ORCA_MEMORY_MAX_BYTES: "258MiB", ORCA_LOG_LEVEL: "info" };
  for (const [args, memory] of [
    [[], "258 MiB"],
    [["--memory", "259MiB"], "259 MiB"],
  ] as const) {
    const { exitCode, events } = await serve(["--config", file, ...args], env, async () => {});
    assert.equal(exitCode, 0);
    assert.equal(events.find(({ msg }) => msg === "Serving")?.memory, memory);
  }
});

test("orca serve: reads its usual file where neither --config nor --origin is given; -c is --config", async () => {
  const file = join(folder, "config.yaml");
  writeFileSync(
    file,
    `origin: { id: o, driver: file, file: { root: ${folder} } }\nmemory: { max_bytes: 260MiB }\n`,
  );
  for (const [args, usual] of [
    [[], file],
    [["-c", file], undefined],
    [[`-c${file}`], "/none/config.yaml"],
  ] as const) {
    const { exitCode, events } = await serve(args, {}, async () => {}, new SystemClock(), usual);
    assert.equal(exitCode, 0);
    assert.equal(events.find(({ msg }) => msg === "Serving")?.memory, "260 MiB");
  }
  const origin = ["--origin", `file://${folder}`, "--memory", "261MiB"];
  const { events } = await serve(origin, {}, async () => {}, new SystemClock(), file);
  assert.equal(events.find(({ msg }) => msg === "Serving")?.memory, "261 MiB", "the file is not read");
});

test("orca serve: the defaults in its help are the schema's", () => {
  const rows = settingRows();
  const serveOptions = declaredCommands().find((command) => command.name() === "serve")?.options ?? [];
  const paths = {
    "--listen": "server.listen",
    "--ops-listen": "server.ops_listen",
    "--memory": "memory.max_bytes",
    "--disk-size": "disk.max_bytes",
  };
  for (const [flag, path] of Object.entries(paths)) {
    const option = serveOptions.find(({ long }) => long === flag);
    const row = rows.find((each) => each.path === path);
    assert.equal(`\`${option?.defaultValueDescription}\``, row?.defaultText, flag);
    assert.equal(option?.defaultValue, undefined, "a default would hide the setting of a file");
  }
});
