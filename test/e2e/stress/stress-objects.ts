/**
 * The objects of the stress test. A version of an object is named by its ETag alone, and its bytes follow from that, so
 * that origin, disturber and clients agree on all bytes without a word.
 */
import { KiB, MiB } from "../../../src/base/units.ts";
import { patternBytes } from "../../support/pattern.ts";

export const objectCount = 1600;

const smallSizes = [4 * KiB, 16 * KiB, 4 * KiB, 5000, 64 * KiB, 4 * KiB, 20_001, 1];
const mediumSize = 300 * KiB;
const largeSize = 3 * MiB;
const versionsMax = 2 ** 16;

export interface Named {
  readonly number: number;
  readonly version: number;
}

export function keyOf(number: number): string {
  return `o${number}`;
}

export function sizeOf(number: number): number {
  if (number % 50 === 49) return largeSize;
  if (number % 10 === 9) return mediumSize;
  return smallSizes[number % smallSizes.length] as number;
}

/** 32 hexadecimal digits, as S3's are. */
export function etagOf({ number, version }: Named): string {
  return number.toString(16).padStart(8, "0") + version.toString(16).padStart(24, "0");
}

/** Undefined for an ETag that no object of the test has. */
export function namedBy(etag: string): Named | undefined {
  if (!/^[\da-f]{32}$/.test(etag)) return undefined;
  return { number: Number.parseInt(etag.slice(0, 8), 16), version: Number.parseInt(etag.slice(8), 16) };
}

export function bytesOf({ number, version }: Named): Buffer {
  return patternBytes(number * versionsMax + version, 0, sizeOf(number));
}
