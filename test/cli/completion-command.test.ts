/**
 * The script for bash runs in bash here, one completion at a time. The script for zsh needs a terminal to complete on, so
 * its form is tested: that it is made of functions that exist, and names each command and option. Where zsh is
 * installed, it also parses the script.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { wordsOf } from "../../src/cli/command-help.ts";
import { declaredCommands, runOrca } from "../support/command-line.ts";
import { findOnPath, run } from "../support/process.ts";

let folder: string;
let script: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "orca-completion-"));
  mkdirSync(join(folder, "conf"));
  writeFileSync(join(folder, "conf", "one two.yaml"), "");
  writeFileSync(join(folder, "cluster.yaml"), "");
  script = join(folder, "orca.bash");
  writeFileSync(script, (await runOrca(["completion", "bash"])).stdout);
});
after(() => rmSync(folder, { recursive: true }));

const complete = `
source "$1"
COMP_WORDS=("\${@:2}")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_orca
((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"`;

/** What bash offers for the last of these words. */
async function offered(...words: string[]): Promise<string[]> {
  const output = await run("bash", ["--norc", "-uc", complete, "bash", script, "orca", ...words]);
  return output.split("\n").slice(0, -1);
}

for (const command of declaredCommands()) {
  const [, ...words] = wordsOf(command);
  test(`bash, ${["orca", ...words].join(" ")}: offers each command below it and each option`, async () => {
    const names = command.commands.map((child) => child.name());
    if (names.length > 0) {
      assert.deepEqual(await offered(...words, ""), names);
      assert.deepEqual(await offered("help", ...words, ""), names);
    }
    if (command.name() === "help") return;
    const flags = command
      .createHelp()
      .visibleOptions(command)
      .map(({ long }) => long);
    assert.ok(flags.includes("--help"));
    assert.deepEqual(await offered(...words, "--"), flags);
  });
}

test("bash: a word that is begun is completed, options between the words or not", async () => {
  assert.deepEqual(await offered("co"), ["config", "completion"]);
  assert.deepEqual(await offered("cache", "v"), ["verify"]);
  assert.deepEqual(await offered("cache", "verify", "--r"), ["--rate"]);
  assert.deepEqual(await offered("cache", "verify", "--json", "--o"), ["--ops", "--ops-token-file"]);
  assert.deepEqual(await offered("serve", "--disk", "config", "--co"), ["--config"]);
  assert.deepEqual(await offered("zzz"), []);
});

test("bash: FILE and DIR are paths, also after an equals sign", async () => {
  const files = [join(folder, "conf"), join(folder, "cluster.yaml")].sort();
  for (const words of [
    ["serve", "--config", join(folder, "c")],
    ["serve", "--config", "=", join(folder, "c")],
    ["config", "check", join(folder, "c")],
    ["config", "print", "--json", join(folder, "c")],
  ]) {
    assert.deepEqual((await offered(...words)).sort(), files, words.join(" "));
  }
  for (const words of [
    ["serve", "--disk", join(folder, "c")],
    ["certs", "--out", join(folder, "c")],
    ["certs", "--out", "=", join(folder, "c")],
  ]) {
    assert.deepEqual(await offered(...words), [join(folder, "conf")], words.join(" "));
  }
  assert.deepEqual(await offered("config", "check", join(folder, "conf", "o")), [
    join(folder, "conf", "one two.yaml"),
  ]);
  assert.ok((await offered("serve", "--config", "=")).length > 0);
});

test("bash: a choice offers its values, and any other value nothing", async () => {
  assert.deepEqual(await offered("completion", ""), ["bash", "zsh"]);
  assert.deepEqual(await offered("completion", "z"), ["zsh"]);
  assert.deepEqual(await offered("status", "--ops", ""), []);
  assert.deepEqual(await offered("serve", "--memory", "=", ""), []);
});

test("bash: after help no options are offered, and nothing below a command", async () => {
  assert.deepEqual(await offered("help", "--"), []);
  assert.deepEqual(await offered("help", "serve", ""), []);
  assert.deepEqual(await offered("help", "cache", "s"), ["stats"]);
});

test("zsh: one function for each command, with all its options, of functions that exist", async (context) => {
  const { stdout } = await runOrca(["completion", "zsh"]);
  const bodies = new Map(
    [...stdout.matchAll(/^(_[\w-]+)\(\) \{\n([^]*?)\n\}$/gm)].map(([, name = "", body = ""]) => [name, body]),
  );
  assert.match(stdout, /^#compdef orca\n/);
  const commands = declaredCommands();
  assert.deepEqual(
    [...bodies.keys()],
    commands.map((command) => `_${wordsOf(command).join("_")}`),
  );
  for (const command of commands) {
    const name = wordsOf(command).join("_");
    const body = bodies.get(`_${name}`) ?? "";
    for (const [called] of body.matchAll(/\b_orca[\w-]*/g)) assert.ok(bodies.has(called), called);
    assert.equal(body.replaceAll(String.raw`\'`, "").split("'").length % 2, 1, `the quotes of ${name}`);
    if (command.name() === "help") continue;
    for (const child of command.commands)
      assert.ok(body.includes(`${child.name()}) _${name}_${child.name()} ;;`), child.name());
    for (const { long, flags } of command.createHelp().visibleOptions(command))
      assert.ok(body.includes(`${long}`), flags);
  }
  assert.match(
    bodies.get("_orca_serve") ?? "",
    /'\(-c --config\)'\{-c\+,--config=\}'\[.*\]:FILE:_files' \\\n[^]*'--disk=.*:DIR:_files -\/'/,
  );
  assert.match(bodies.get("_orca_serve") ?? "", /'--listen=\[.*\]:HOST\\:PORT: '/);
  assert.match(bodies.get("_orca_config_check") ?? "", /'1:FILE:_files'/);
  assert.match(bodies.get("_orca_completion") ?? "", /'1:SHELL:\(bash zsh\)'/);
  const zsh = findOnPath("zsh");
  if (!zsh) return context.diagnostic("zsh is not installed: it did not parse the script");
  const file = join(folder, "_orca");
  writeFileSync(file, stdout);
  assert.equal(await run(zsh, ["-n", file]), "");
});
