/** All that one object at the simulated origin ever was, and since when: what staleness is measured against. */
import assert from "node:assert/strict";

export interface StoredVersion {
  readonly etag: string;
  /** Which bytes it has (version-bytes.ts). No two versions of a simulation share one. */
  readonly ordinal: number;
  readonly sizeBytes: number;
}

interface Era {
  readonly fromMs: number;
  /** Undefined where there was no such object. */
  readonly version: StoredVersion | undefined;
}

export class ObjectHistory {
  readonly key: string;
  readonly #eras: Era[];

  constructor(key: string, version: StoredVersion | undefined) {
    this.key = key;
    this.#eras = [{ fromMs: Number.NEGATIVE_INFINITY, version }];
  }

  get current(): StoredVersion | undefined {
    return this.#eras.at(-1)?.version;
  }

  become(version: StoredVersion | undefined, nowMs: number): void {
    this.#eras.push({ fromMs: nowMs, version });
  }

  version(etag: string): StoredVersion {
    const era = this.#eras.find(({ version }) => version?.etag === etag);
    assert.ok(era?.version, `object ${this.key} never had the ETag ${etag}`);
    return era.version;
  }

  /** What the origin held at a moment. */
  at(atMs: number): StoredVersion | undefined {
    return this.#eras.findLast(({ fromMs }) => fromMs <= atMs)?.version;
  }

  /** When it changed. */
  changesAfter(sinceMs: number): number[] {
    return this.#eras.map(({ fromMs }) => fromMs).filter((fromMs) => fromMs > sinceMs);
  }

  /** Whether `etag` (undefined: no object) was what the origin held at any moment from `sinceMs` on. */
  wasCurrent(etag: string | undefined, sinceMs: number): boolean {
    return this.#eras.some(({ version }, index) => {
      const untilMs = this.#eras[index + 1]?.fromMs ?? Number.POSITIVE_INFINITY;
      return version?.etag === etag && untilMs >= sinceMs;
    });
  }
}
