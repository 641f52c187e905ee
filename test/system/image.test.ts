/**
 * The image of deploy/docker/Dockerfile: built by buildah on bases of Debian's packages, then run as its configuration
 * says by bubblewrap: as an ordinary user, on a read-only root, with no capability. There is no shell in it to help.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { httpGet } from "../support/http-get.ts";
import { patternBytes } from "../support/pattern.ts";
import { endProcesses, findOnPath, freePort, run, TestProcess } from "../support/process.ts";
import { until } from "../support/until.ts";
import { suiteWith } from "./installed.ts";

const root = join(import.meta.dirname, "../..");
const buildTimeoutMs = 15 * 60_000;
const programs = ["buildah", "mmdebstrap", "bwrap", "setpriv"];

interface ImageConfig {
  readonly architecture: string;
  readonly config: {
    readonly User: string;
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly Healthcheck: { readonly Test: readonly string[] };
    readonly Labels: Readonly<Record<string, string>>;
  };
}

let folder: string;
let image: ImageConfig;

/** Runs a command of the image: the root and the origin can only be read, and the disk tier can be written. */
function contained(name: string, command: readonly string[]): TestProcess {
  const user = image.config.User.split(":") as [string, string];
  const mounts = [
    ["--ro-bind", join(folder, "image/rootfs"), "/"],
    ["--proc", "/proc"],
    ["--dev", "/dev"],
    ["--tmpfs", "/tmp"],
    ["--ro-bind", join(folder, "origin"), "/tmp/origin"],
    ["--ro-bind", join(folder, "etc"), "/etc/orca"],
    ["--bind", join(folder, "cache"), "/var/cache/orca"],
  ].flat();
  const ends = [
    "--unshare-pid",
    "--unshare-ipc",
    "--die-with-parent",
    "--clearenv",
    "--chdir",
    "/var/cache/orca",
  ];
  const rights = [
    "--reuid",
    user[0],
    "--regid",
    user[1],
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all",
  ];
  return new TestProcess(name, "setpriv", [...rights, "bwrap", ...mounts, ...ends, ...command]);
}

suiteWith(
  {
    name: "buildah, mmdebstrap and bwrap (as root)",
    isInstalled: () => process.getuid?.() === 0 && programs.every((name) => findOnPath(name) !== undefined),
    install: "apt-get install --no-install-recommends buildah mmdebstrap bubblewrap",
    isInstalledByCi: true,
  },
  "image",
  () => {
    before(async () => {
      folder = mkdtempSync(join(tmpdir(), "orca-image-"));
      // The ordinary user passes through it.
      chmodSync(folder, 0o755);
      await run(join(root, ".ci/build-image.sh"), [join(folder, "image")], buildTimeoutMs);
      image = JSON.parse(readFileSync(join(folder, "image/config.json"), "utf8")) as ImageConfig;
      for (const name of ["origin", "etc", "cache"]) mkdirSync(join(folder, name));
    });
    afterEach(endProcesses);
    after(() => rmSync(folder, { recursive: true, force: true }));

    test("image: is for an ordinary user, says what it is, and has no shell", () => {
      const { config } = image;
      assert.equal(config.User, "65532:65532");
      assert.equal(config.Labels["org.opencontainers.image.title"], "Orca");
      assert.equal(config.Labels["org.opencontainers.image.licenses"], "Apache-2.0");
      assert.match(config.Labels["org.opencontainers.image.version"] ?? "", /^\d+\.\d+\.\d+$/);
      for (const shell of ["bin/sh", "bin/bash", "usr/bin/env"]) {
        assert.ok(!existsSync(join(folder, "image/rootfs", shell)), shell);
      }
    });

    test("image: serves on a read-only root, keeps chunks in its volume, and its health check passes", async () => {
      const content = patternBytes(9, 0, 3_000_000);
      writeFileSync(join(folder, "origin/weights.bin"), content);
      const [uid, gid] = image.config.User.split(":").map(Number) as [number, number];
      chownSync(join(folder, "cache"), uid, gid);
      const ops = `127.0.0.1:${await freePort()}`;
      writeFileSync(
        join(folder, "etc/config.yaml"),
        `server: { listen: "127.0.0.1:0", ops_listen: "${ops}" }
origin: { id: files, driver: file, file: { root: /tmp/origin }, buckets: { models: {} } }
disk: { root: /var/cache/orca, max_bytes: 1GiB }
`,
      );
      const { Entrypoint, Cmd, Healthcheck } = image.config;
      const [kind, ...health] = Healthcheck.Test;
      assert.equal(kind, "CMD");
      const early = contained("early health", [...health, "--ops", ops]);
      assert.equal(await early.exited, 1, early.output.join("\n"));

      const [, s3 = ""] = await contained("image", [...Entrypoint, ...Cmd]).line(/"s3":"([^"]+)"/);
      const response = await httpGet(`${s3}/models/weights.bin`);
      const digest = createHash("sha256").update(Buffer.from(await response.arrayBuffer()));
      assert.equal(digest.digest("hex"), createHash("sha256").update(content).digest("hex"));
      const metrics = async (): Promise<string> => (await httpGet(`http://${ops}/metrics`)).text();
      await until(async () => /^orca_commits_total 1$/m.test(await metrics()));
      const healthy = contained("health", [...health, "--ops", ops]);
      assert.equal(await healthy.exited, 0, healthy.output.join("\n"));
    });

    test("image: nothing outside of its volume can be written", async () => {
      const [node = ""] = image.config.Entrypoint;
      const tries = ["/opt/orca/lib/orca.js", "/etc/orca/x", "/usr/local/bin/x", "/x"];
      const program = `const { writeFileSync } = require("node:fs");
for (const path of ${JSON.stringify(tries)}) try { writeFileSync(path, ""); } catch (error) { console.log(error.code); }
writeFileSync("/var/cache/orca/x", "");
console.log(process.getuid());`;
      const child = contained("writer", [node, "-e", program]);
      assert.equal(await child.exited, 0, child.output.join("\n"));
      assert.deepEqual(child.output, ["EROFS", "EROFS", "EROFS", "EROFS", "65532"]);
    });
  },
);
