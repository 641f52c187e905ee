/** What each command loads: a process of its own tells, by a hook that writes down every module. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { endProcesses, TestProcess } from "../support/process.ts";

const main = join(import.meta.dirname, "../../src/main.ts");
const folder = mkdtempSync(join(tmpdir(), "orca-loading-"));
afterEach(endProcesses);
after(() => rmSync(folder, { recursive: true }));

const list = join(folder, "modules");
const hook = join(folder, "hook.mjs");
writeFileSync(
  hook,
  `import { appendFileSync } from "node:fs";
import { registerHooks } from "node:module";
registerHooks({
  load(url, context, next) {
    appendFileSync(${JSON.stringify(list)}, url + "\\n");
    return next(url, context);
  },
});
`,
);

function orca(...args: readonly string[]): TestProcess {
  writeFileSync(list, "");
  return new TestProcess("orca", process.execPath, ["--import", hook, main, ...args]);
}

/** The URLs of files, and of ours the paths in the checkout: `src/main.ts`. */
function loaded(): string[] {
  const root = new URL("../../", import.meta.url).href;
  return readFileSync(list, "utf8")
    .split("\n")
    .map((url) => (url.startsWith(root) ? url.slice(root.length) : url));
}

function packagesOf(paths: readonly string[]): string[] {
  const names = paths.map((path) => /\bnode_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].sort();
}

test("orca --version, help and a usage error load commander and the declarations alone", async () => {
  for (const args of [["--version"], ["help", "serve"], ["serve", "--confg"], ["completion", "bash"]]) {
    const child = orca(...args);
    await child.exited;
    const paths = loaded();
    assert.deepEqual(packagesOf(paths), ["commander"], args.join(" "));
    const heavy =
      /^src\/(?:replica|mesh|ops|edge|object|store|origin|membership)\/|config\/(?:load|schema)|certificate/;
    assert.deepEqual(
      paths.filter((path) => heavy.test(path)),
      [],
    );
  }
});

test("orca serve: loads no library that writes certificates", async () => {
  const child = orca(
    "serve",
    "--origin",
    `file://${folder}`,
    "--listen",
    "127.0.0.1:0",
    "--ops-listen",
    "127.0.0.1:0",
  );
  await child.line(/"Serving"/);
  const paths = loaded();
  await child.stop();
  assert.ok(paths.includes("src/replica/replica.ts"));
  assert.deepEqual(
    paths.filter((path) => /certificate-authority|node_modules\/(?:pkijs|asn1js|pvtsutils)/.test(path)),
    [],
  );
});

test("orca certs: loads no replica", async () => {
  const child = orca("certs", "--out", join(folder, "tls"), "--server-name", "a.b", "--replica", "r");
  assert.equal(await child.exited, 0, child.output.join("\n"));
  const paths = loaded();
  assert.ok(packagesOf(paths).includes("pkijs"));
  assert.deepEqual(
    paths.filter((path) => /^src\/(?:replica|mesh|ops)\//.test(path)),
    [],
  );
});
