/**
 * The content of every version of every simulated object: stretches of one tape of pattern bytes, each version's begun
 * at another place. To make and to compare bytes is most of a simulation's work, and the tape is made once for all of
 * them. Versions overlap, shifted by a stride that is no distance anything in Orca could be off by.
 */
import assert from "node:assert/strict";
import { MiB } from "../../src/base/units.ts";
import { patternBytes } from "../support/pattern.ts";

const strideBytes = 4099;
const versionsMax = 512;

/** No version is larger. */
export const versionBytesMax = 5 * MiB;

let tape: Buffer | undefined;

/** Bytes `offset` to `offset + lengthBytes` of version number `ordinal`. They are shared: nobody writes to them. */
export function versionBytes(ordinal: number, offset: number, lengthBytes: number): Buffer {
  assert.ok(ordinal < versionsMax && offset + lengthBytes <= versionBytesMax);
  tape ??= patternBytes(1, 0, strideBytes * versionsMax + versionBytesMax);
  const start = ordinal * strideBytes + offset;
  return tape.subarray(start, start + lengthBytes);
}

/** @throws AssertionError unless `actual` is what version `ordinal` has from `offset` on. */
export function assertVersionBytes(actual: Buffer, ordinal: number, offset: number, what: string): void {
  const expected = versionBytes(ordinal, offset, actual.length);
  if (expected.equals(actual)) return;
  const at = expected.findIndex((byte, index) => byte !== actual[index]);
  const shown = (bytes: Buffer): string => bytes.subarray(at, at + 8).toString("hex");
  assert.fail(
    `${what}: wrong byte at offset ${offset + at} of version ${ordinal}: ` +
      `expected ${shown(expected)}, received ${shown(actual)}`,
  );
}
