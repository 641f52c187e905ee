/**
 * What buf cannot say in one command: that gen/ is what proto/ generates, and that proto/ still understands what main
 * speaks. The two checks name the command that mends them. `buf lint` and `buf format` come before, in `check:proto`.
 *
 *     node .ci/check-proto.mjs
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const scratch = mkdtempSync(join(tmpdir(), "orca-proto-"));

function run(command, args, options = {}) {
  const { status, stdout, error } = spawnSync(command, args, {
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  if (error) throw error;
  return { held: status === 0, output: stdout };
}

const lines = (output) => output.toString("utf8").trim();

function checkGenerated() {
  if (!run("buf", ["generate", "--output", scratch]).held) throw new Error("buf generate failed");
  const { held, output } = run("diff", ["-ru", "gen", join(scratch, "gen")]);
  if (!held) throw new Error(`${lines(output)}\ngen/ is not what proto/ generates: run \`npm run generate\``);
}

/**
 * The commit to stay compatible with: main, or in a checkout that knows no main (CI may fetch one commit and name no
 * branch) what came before this one. Sources without a repository have no history to break.
 */
function baseline() {
  if (!existsSync(".git")) return undefined;
  for (const ref of ["refs/heads/main", "refs/remotes/origin/main", "HEAD^"]) {
    const { held, output } = run("git", ["rev-parse", "--verify", "--quiet", `${ref}^{commit}`]);
    if (held) return lines(output);
  }
  return undefined;
}

function checkBreaking() {
  const commit = baseline();
  if (!commit) return console.log("proto: no main and no history here, so nothing to compare with");
  const tree = run("git", ["ls-tree", "-r", "--name-only", commit, "--", "proto", "buf.yaml"]);
  if (!tree.held) throw new Error(`git cannot list proto/ of ${commit}`);
  if (!lines(tree.output).includes("proto/")) {
    // Only before the first merge. A main that had proto/ once and lost it is the greatest break of all.
    const past = run("git", ["log", "-1", "--format=%h", commit, "--", "proto"]);
    if (!past.held || lines(past.output)) throw new Error(`main had proto/ until ${lines(past.output)}, and lost it`);
    return console.log("proto: main has none yet, so there is nothing to be compatible with");
  }
  const before = join(scratch, "main");
  mkdirSync(before);
  const archive = run("git", ["archive", "--format=tar", commit, ...lines(tree.output).split("\n")]);
  const unpacked = run("tar", ["-x", "-C", before], { input: archive.output, stdio: ["pipe", "pipe", "inherit"] });
  if (!archive.held || !unpacked.held) throw new Error(`cannot unpack proto/ of ${commit}`);
  const { held, output } = run("buf", ["breaking", "--against", before]);
  if (!held) throw new Error(`${lines(output)}\nproto/ breaks what main speaks`);
}

try {
  checkGenerated();
  checkBreaking();
} catch (thrown) {
  console.error(thrown.message);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
