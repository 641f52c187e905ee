/** What a directory is made of: its source, its lifetimes, its bounds, and who learns of what changes. */
import type { Clock } from "../base/clock.ts";
import type { OrcaError } from "../base/orca-error.ts";
import type { Trace } from "../trace/trace.ts";
import type { Lifetime, LifetimePlace } from "./freshness/lifetimes.ts";
import type { Revocations } from "./freshness/revocations.ts";
import type { HeadSource } from "./heads/head-source.ts";
import type { HeapShare } from "./heap-share.ts";
import type { SeenVersionsOptions } from "./seen-versions.ts";

export interface DirectoryOptions extends Lifetime, SeenVersionsOptions {
  readonly source: HeadSource;
  readonly clock: Clock;
  /** Objects with a lifetime of their own. */
  readonly lifetimePlaces?: readonly LifetimePlace[] | undefined;
  /** Bounds the bytes of all directories together. Unbounded by default. */
  readonly heap?: HeapShare | undefined;
  /** Called for each answer with an expired entry. */
  readonly onStale?: ((error: OrcaError) => void) | undefined;
  readonly trace?: Trace | undefined;
  /** Left out where no other thread keeps copies of the answers. */
  readonly revocations?: Revocations | undefined;
}
