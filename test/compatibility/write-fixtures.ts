/**
 * Writes the fixtures of a version, once, when it is released:
 *
 *     npx node test/compatibility/write-fixtures.ts 0.2.0
 *
 * Before a version is released, its fixtures may be written again. After that they stay.
 */
import { writeFixture } from "./version-fixture.ts";

const version = process.argv[2] ?? "";
if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error("Name the version, such as 0.2.0");
await writeFixture(version);
