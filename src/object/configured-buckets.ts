/**
 * Whether the origins have the configured buckets, for requests about a bucket itself, such as HeadBucket. A configured
 * bucket is there unless its origin says that it has none: while the origin fails, or denies the question, such requests
 * are answered as before.
 *
 * Invariants, in addition to those of {@link OpenBuckets}, which bounds what the origins are asked:
 * 1. Only `no_such_bucket` makes a bucket absent.
 * 2. A request waits at most {@link waitMsMax}. The question goes on, and the next request may have its answer.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { OpenBuckets } from "./open-buckets.ts";

/** A health check that heads a bucket must not wait for an origin that does not answer. */
const waitMsMax = 1000;

export class ConfiguredBuckets {
  readonly #openOf: ReadonlyMap<string, OpenBuckets>;
  readonly #clock: Clock;

  /** `openOf` has the buckets of its origin for each name that clients use. */
  constructor(openOf: ReadonlyMap<string, OpenBuckets>, clock: Clock) {
    this.#openOf = openOf;
    this.#clock = clock;
  }

  /** Resolves with `no_such_bucket`, which is the operator's error, or with undefined. Never rejects. */
  async faultOf(name: string): Promise<OrcaError | undefined> {
    const open = this.#openOf.get(name);
    if (open === undefined) return undefined;
    const late = Promise.withResolvers<undefined>();
    const timer = this.#clock.timer(waitMsMax, () => late.resolve(undefined));
    const found = await Promise.race([open.find(name), late.promise]);
    timer.cancel();
    if (!(found instanceof OrcaError) || found.code !== "no_such_bucket") return undefined;
    return new OrcaError(
      "no_such_bucket",
      "origin",
      `Cannot find bucket "${name}": it is configured, and its origin has no such bucket or directory`,
    );
  }
}
