/**
 * SIGUSR1 makes Node open its debugger on 127.0.0.1:9229, where everybody on the host can then run code in the process and
 * read its secrets. Orca ignores the signal, however it was started, and Orca's own ways to start Node say so from the
 * first moment.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { httpGet } from "../support/http-get.ts";
import { orca } from "../support/orca-process.ts";

const folder = mkdtempSync(join(tmpdir(), "orca-debugger-"));
after(() => rmSync(folder, { recursive: true }));
const root = join(import.meta.dirname, "../..");

test("orca serve: SIGUSR1 opens no debugger, and the replica serves on", async (context) => {
  const loopback = "127.0.0.1:0";
  const child = orca(
    "orca",
    "serve",
    "--origin",
    `file://${folder}`,
    "--listen",
    loopback,
    "--ops-listen",
    loopback,
  );
  context.after(() => child.stop());
  const [, ops = ""] = await child.line(/"ops":"([^"]+)"/);
  child.signal("SIGUSR1");
  // A debugger would open on a thread of its own, at once; the answers come after it.
  for (let count = 0; count < 20; count += 1) assert.equal((await httpGet(`${ops}/healthz`)).status, 200);
  await child.stop("SIGTERM");
  assert.equal(await child.exited, 0);
  assert.doesNotMatch(child.output.join("\n"), /Debugger/);
});

test("package.json and the pages: start Orca with --disable-sigusr1", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  assert.equal(scripts["orca"], "node --disable-sigusr1 src/main.ts");
  assert.equal(scripts["demo"], "node --disable-sigusr1 deploy/demo/main.ts");
  for (const page of [
    "README.md",
    "docs/operations/start-and-stop.md",
    "docs/operations/everyday-questions.md",
  ]) {
    for (const line of readFileSync(join(root, page), "utf8").split("\n")) {
      if (/\bnode\b.*src\/main\.ts/.test(line))
        assert.match(line, /node --disable-sigusr1 src\/main\.ts/, page);
    }
  }
});
