/**
 * Orca as a user installs it: built, packed, and installed by npm into an empty prefix, without a network. A test runs
 * it on the Node that it chooses, from a folder with no node_modules above.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { inheritedEnvironment } from "./orca-process.ts";
import { run, TestProcess } from "./process.ts";

const root = join(import.meta.dirname, "../..");

export interface InstalledOrca {
  /** Everything below it is removed at the end. */
  readonly folder: string;
  /** `lib/node_modules/orca` of the prefix. */
  readonly packageRoot: string;
  /** What a shell would run for `orca`. */
  readonly command: string;
  /** Starts the command, as a shell would, with `node` first on its PATH. */
  readonly start: (name: string, ...args: readonly string[]) => TestProcess;
  readonly remove: () => void;
}

export interface InstallOptions {
  /** The Node that runs it; without one, the Node of the tests. */
  readonly node?: string;
}

export async function installOrca({ node = process.execPath }: InstallOptions = {}): Promise<InstalledOrca> {
  const folder = mkdtempSync(join(tmpdir(), "orca-installed-"));
  try {
    const [built, prefix, bin] = ["built", "prefix", "bin"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await run(process.execPath, [join(root, ".ci/build.mjs"), built]);
    const packed = await run("npm", ["pack", "--silent", "--pack-destination", folder, built]);
    const flags = ["--offline", "--global", "--no-audit", "--no-fund", "--cache", join(folder, "cache")];
    await run("npm", ["install", ...flags, "--prefix", prefix, join(folder, packed.trim())], 60_000);
    mkdirSync(bin);
    symlinkSync(node, join(bin, "node"));
    const command = join(prefix, "bin/orca");
    const env = environment(bin);
    return {
      folder,
      packageRoot: join(prefix, "lib/node_modules/orca"),
      command,
      start: (name, ...args) => new TestProcess(name, command, args, { env, cwd: folder }),
      remove: () => rmSync(folder, { recursive: true, force: true }),
    };
  } catch (thrown) {
    rmSync(folder, { recursive: true, force: true });
    throw thrown;
  }
}

/** The compile cache of the tests would hide where an installed Orca keeps its own. */
function environment(bin: string): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE: _, NODE_OPTIONS: __, ...env } = inheritedEnvironment();
  return {
    ...env,
    PATH: `${bin}${delimiter}${env["PATH"] ?? ""}`,
    ORCA_CACHESTORE_S3_ACCESS_KEY: "test",
    ORCA_CACHESTORE_S3_SECRET_KEY: "test-secret",
  };
}
