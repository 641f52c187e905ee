/**
 * What an answer of the source says of an object's version: the result that a directory keeps, and whether it supersedes
 * the last version seen. The last versions outlive the entries (last-versions.ts).
 */
import { OrcaError } from "../base/orca-error.ts";
import type { ChunkTier } from "../chunk/chunk-layout.ts";
import type { ObjectVersion } from "../chunk/object-version.ts";
import type { ObjectHead, ObjectLocation } from "../origin/origin.ts";
import type { HeapShare } from "./heap-share.ts";
import { LastVersions } from "./last-versions.ts";
import { isSame, type LookupResult, ownHead, versionOf } from "./object-record.ts";

export interface SeenVersionsOptions {
  readonly source: { readonly id: string };
  readonly chunkTiers: readonly ChunkTier[];
  readonly entriesMax: number;
  readonly heap?: HeapShare | undefined;
  /** Receives each version that is no longer current, so that its chunks are evicted first. */
  readonly onSuperseded?: ((version: ObjectVersion) => void) | undefined;
}

export class SeenVersions {
  readonly #options: SeenVersionsOptions;
  readonly #last: LastVersions;

  constructor(options: SeenVersionsOptions) {
    this.#options = options;
    this.#last = new LastVersions(options.source.id, options.entriesMax, options.heap);
  }

  /** What they take on the heap. */
  get bytes(): number {
    return this.#last.bytes;
  }

  /** The last version seen. */
  lastOf(name: string, location: ObjectLocation): ObjectVersion | undefined {
    return this.#last.of(name, location);
  }

  /** The result for `head`. If nothing has changed, it is `kept` itself, so that everything derived from it stays. */
  resultOf(
    location: ObjectLocation,
    name: string,
    head: ObjectHead | OrcaError,
    kept: LookupResult | undefined,
  ): LookupResult {
    if (kept && isSame(kept, head)) return kept;
    if (head instanceof OrcaError) {
      this.#supersede(location, name, undefined);
      return { kind: "error", error: head };
    }
    const own = ownHead(head);
    const { source, chunkTiers } = this.#options;
    const version = versionOf(source.id, location, own, chunkTiers);
    this.#supersede(location, name, version);
    return { kind: "found", record: { version, head: own, headers: undefined } };
  }

  /** Versions that are asked for by their ids are none that another could supersede. */
  #supersede(location: ObjectLocation, name: string, version: ObjectVersion | undefined): void {
    if (location.versionId !== undefined) return;
    const superseded = this.#last.replace(name, location, version);
    if (superseded) this.#options.onSuperseded?.(superseded);
  }
}
