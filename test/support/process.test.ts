import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { test } from "node:test";
import { endProcesses, findOnPath, freePort, run, TestProcess } from "./process.ts";

const node = (script: string): TestProcess => new TestProcess("script", process.execPath, ["-e", script]);

test("TestProcess: a line is found whether it was printed before or after it was asked for", async () => {
  const child = node("console.log('port 17'); process.stdin.resume(); setInterval(() => {}, 1000)");
  assert.equal((await child.line(/port (\d+)/))[1], "17");
  assert.equal((await child.line(/port (\d+)/))[1], "17");
  assert.ok(child.running);
  await child.stop();
  assert.ok(!child.running);
});

test("endProcesses: ends what a failed test left running, and resolves when it has ended", async () => {
  const children = [0, 1].map(() => node("setInterval(() => {}, 1000)"));
  await endProcesses();
  assert.deepEqual(
    children.map(({ running }) => running),
    [false, false],
  );
  await endProcesses();
});

test("TestProcess: one that ends without the line says so with its output", async () => {
  const child = node("console.error('no such luck'); process.exit(3)");
  await assert.rejects(child.line(/never/), /script ended with 3 before[^]*no such luck/);
  assert.equal(await child.exited, 3);
});

test("TestProcess: a command that is not there ends with a message", async () => {
  const child = new TestProcess("nothing", "/no/such/command", []);
  await assert.rejects(child.line(/never/), /no such|not|ENOENT/i);
});

if (findOnPath("setpriv") !== undefined) {
  test("TestProcess: a child ends with a parent that is killed", async () => {
    const path = JSON.stringify(new URL("./process.ts", import.meta.url).href);
    const parent = new TestProcess("parent", process.execPath, [
      "--input-type=module",
      "-e",
      `const { TestProcess } = await import(${path});
       const child = new TestProcess("child", process.execPath, ["-e", "console.log('up'); setInterval(() => {}, 1000)"]);
       await child.line(/up/);
       console.log("child " + child.pid);
       setInterval(() => {}, 1000);`,
    ]);
    const [, childPid = ""] = await parent.line(/child (\d+)/);
    await parent.stop("SIGKILL");
    while (await isRunning(childPid));
  });
}

test("run: answers stdout, and fails with stderr", async () => {
  assert.equal(await run(process.execPath, ["-p", "1 + 1"]), "2\n");
  await assert.rejects(run(process.execPath, ["-e", "console.error('broken'); process.exit(1)"]), /broken/);
});

test("freePort: the port can be listened on", async () => {
  const port = await freePort();
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  server.close();
  await once(server, "close");
});

async function isRunning(pid: string): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return status !== "" && !/^State:\s+Z/m.test(status);
}
