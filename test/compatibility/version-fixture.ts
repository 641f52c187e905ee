/** The fixtures of a version: a folder of JSON beside this file. `write-fixtures.ts` writes one for each release. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PromisedNames, promisedNames } from "./promised-names.ts";
import { type Place, places, type StoredChunk, type StoredSamples, writtenTo } from "./stored-samples.ts";
import { type WireSample, wireCalls, wireSamples } from "./wire-samples.ts";

export interface VersionFixture {
  readonly version: string;
  readonly wire: { readonly messages: readonly WireSample[]; readonly calls: readonly string[] };
  readonly stored: StoredSamples;
  readonly names: PromisedNames;
}

const parts = ["wire", "stored", "names"] as const;

export function fixtures(): VersionFixture[] {
  const versions = readdirSync(import.meta.dirname).filter((name) => /^\d+\.\d+\.\d+$/.test(name));
  return versions.map((version) => {
    const read = (part: string): unknown =>
      JSON.parse(readFileSync(join(import.meta.dirname, version, `${part}.json`), "utf8"));
    return { version, ...Object.fromEntries(parts.map((part) => [part, read(part)])) } as VersionFixture;
  });
}

/** Of today's code. */
export async function writeFixture(version: string): Promise<void> {
  const stored = {} as Record<Place, readonly StoredChunk[]>;
  for (const place of places) stored[place] = await writtenTo(place);
  const fixture: VersionFixture = {
    version,
    wire: { messages: wireSamples(), calls: wireCalls() },
    stored,
    names: promisedNames(),
  };
  const folder = join(import.meta.dirname, version);
  mkdirSync(folder, { recursive: true });
  for (const part of parts) {
    writeFileSync(join(folder, `${part}.json`), `${JSON.stringify(fixture[part], undefined, 1)}\n`);
  }
}
