/**
 * What a suite of this folder needs beyond `npm ci`, and what becomes of the suite where that is absent: one test that is
 * skipped, so that it shows with what to install, and is counted. Under CI=true it fails, where `.ci/run` should have
 * installed the thing.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { rgwAvailable } from "../support/rgw.ts";

export interface Requirement {
  readonly name: string;
  readonly isInstalled: () => boolean;
  /** The command that installs it on Debian. */
  readonly install: string;
  /** `.ci/run` does. */
  readonly isInstalledByCi: boolean;
}

export const radosgw: Requirement = {
  name: "radosgw",
  isInstalled: rgwAvailable,
  install: "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd",
  isInstalledByCi: true,
};

/** Registers a suite that needs `required`. */
export function suiteWith(required: Requirement, name: string, register: () => void): void {
  if (required.isInstalled()) suite(name, register);
  else testOfAbsent(required, name);
}

/** Registers a test that needs `required`. */
export function testWith(required: Requirement, name: string, run: () => Promise<void>): void {
  if (required.isInstalled()) test(name, run);
  else testOfAbsent(required, name);
}

function testOfAbsent(required: Requirement, name: string): void {
  const reason = `${required.name} is not installed (${required.install})`;
  const mustBeThere = process.env["CI"] === "true" && required.isInstalledByCi;
  test(name, { skip: mustBeThere ? false : `skipped: ${reason}` }, () => assert.fail(reason));
}
