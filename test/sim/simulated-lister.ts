/**
 * A client of a simulated cluster that lists a bucket: page after page to the end, or until it leaves. Each page must be
 * one that the origin would have sent within the last TTL, and the pages of one traversal go on where the last one ended.
 */
import assert from "node:assert/strict";
import type { Clock } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import type { ListRequest } from "../../src/origin/origin.ts";
import type { Chance } from "../support/chance.ts";
import type { ClusterChecks } from "./cluster-checks.ts";
import { bucket } from "./simulated-origin.ts";
import type { SimulatedReplica } from "./simulated-replica.ts";
import type { Trace } from "./trace.ts";

export interface SimulatedListerOptions {
  readonly name: string;
  readonly replica: SimulatedReplica;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly trace: Trace;
  readonly checks: ClusterChecks;
  /** All in one page, and it stays to the end. */
  readonly isWhole: boolean;
}

export class SimulatedLister {
  readonly replica: SimulatedReplica;
  readonly #options: SimulatedListerOptions;
  readonly #first: ListRequest;
  #left = false;

  constructor(options: SimulatedListerOptions) {
    const { chance, clock, replica, isWhole } = options;
    this.#options = options;
    this.replica = replica;
    this.#first = {
      bucket,
      prefix: isWhole ? "" : chance.oneOf(["", "k", "k1"]),
      delimiter: isWhole ? "" : chance.oneOf(["", "1"]),
      maxKeys: isWhole ? 1000 : chance.oneOf([3, 7, 1000]),
      continuationToken: "",
      startAfter: "",
    };
    if (!isWhole && chance.happens(0.2)) clock.timer(chance.between(1, 300), () => this.leave());
  }

  /** Resolves after the last page, or when it has left; never when its replica dies. */
  async run(): Promise<void> {
    const { replica, checks, clock, trace, name } = this.#options;
    await replica.turn();
    const { prefix, delimiter, maxKeys } = this.#first;
    trace.note(name, `lists "${prefix}" by "${delimiter}" and ${maxKeys} (${replica.replicaId})`);
    let request = this.#first;
    try {
      for (;;) {
        const askedMs = clock.monotonic();
        const page = await replica.listings.list(request);
        if (this.#left) return;
        checks.listed(request, page, askedMs);
        const { nextContinuationToken: next } = page;
        if (next === "") return;
        assert.ok(next > request.continuationToken, "a listing goes on after its last page");
        request = { ...request, continuationToken: next };
      }
    } catch (thrown) {
      if (!(thrown instanceof OrcaError)) throw thrown;
      trace.note(name, `fails: ${thrown.code} (${replica.replicaId})`);
      if (!this.#left) checks.clientFailed({ name, key: `a list of "${prefix}"`, replica }, thrown);
    }
  }

  leave(): void {
    this.replica.clock.deliver(() => {
      this.#left = true;
    });
  }
}
