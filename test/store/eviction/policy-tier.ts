/** A tier of a given size around an eviction policy, and the checks that every policy must pass. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { Evictable } from "../../../src/store/eviction/evictable.ts";
import type { EvictionPolicy } from "../../../src/store/eviction/eviction-policy.ts";

export interface CountingPolicy extends EvictionPolicy<Evictable> {
  readonly bytes: number;
}

export class PolicyTier<Policy extends CountingPolicy> {
  readonly policy: Policy;
  readonly held = new Map<string, Evictable>();
  readonly evicted: string[] = [];
  readonly #capacityBytes: number;

  constructor(capacityBytes: number, policy: Policy) {
    this.#capacityBytes = capacityBytes;
    this.policy = policy;
  }

  /** An entry larger than the tier is not inserted, but all others are evicted. */
  insert(key: string, sizeBytes = 1, ahead = false): void {
    while (this.policy.bytes + sizeBytes > this.#capacityBytes) {
      const victim = this.policy.evict();
      if (!victim) return assert.equal(this.policy.bytes, 0);
      this.held.delete(victim.key);
      this.evicted.push(victim.key);
    }
    const entry = new Evictable(key, sizeBytes);
    this.held.set(key, entry);
    this.policy.insert(entry, ahead);
  }

  insertAll(prefix: string, count: number): void {
    for (let index = 0; index < count; index += 1) this.insert(`${prefix}${index}`);
  }

  touch(key: string, times = 1): void {
    const entry = this.held.get(key);
    assert.ok(entry, `${key} is held`);
    for (let time = 0; time < times; time += 1) this.policy.touch(entry);
  }

  /** A request as a cache serves it. True for a hit. */
  request(key: string, sizeBytes = 1, ahead = false): boolean {
    const isHeld = this.held.has(key);
    if (!isHeld) this.insert(key, sizeBytes, ahead);
    else if (!ahead) this.touch(key);
    return isHeld;
  }

  get heldBytes(): number {
    return [...this.held.values()].reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  }
}

const anyStep = fc.record({
  kind: fc.constantFrom("request", "request", "request", "ahead", "remove", "evict", "supersede", "reinsert"),
  key: fc.nat(30),
  sizeBytes: fc.integer({ min: 1, max: 20 }),
});

/**
 * Checks that the policy holds each entry that was inserted and not evicted or removed, once, after any steps in any
 * order.
 */
export function assertAccounts<Policy extends CountingPolicy>(makeTier: () => PolicyTier<Policy>): void {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 300 }), (steps) => {
      const tier = makeTier();
      const { policy, held } = tier;
      for (const { kind, key, sizeBytes } of steps) {
        const name = `k${key}`;
        const entry = held.get(name);
        if (kind === "evict") {
          const victim = policy.evict();
          assert.equal(victim === undefined, held.size === 0);
          if (victim) assert.ok(held.delete(victim.key));
        } else if (kind === "reinsert") {
          const victim = policy.evict();
          if (victim) policy.reinsert(victim);
        } else if (kind === "supersede") {
          if (entry) policy.supersede(entry);
        } else if (kind === "remove") {
          if (entry) policy.remove(entry);
          held.delete(name);
        } else if (entry) {
          policy.touch(entry);
        } else {
          tier.insert(name, sizeBytes, kind === "ahead");
        }
        assert.equal(policy.bytes, tier.heldBytes);
        for (const each of held.values()) assert.ok(each.queue && !policy.remembers(each.key));
      }
      while (held.size > 0) assert.ok(held.delete(policy.evict()?.key ?? ""));
      assert.equal(policy.evict(), undefined);
      assert.equal(policy.bytes, 0);
    }),
  );
}
