/** A tier of a given size around an eviction policy, and the checks that every policy must pass. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type EvictionPolicy,
  noRow,
  type PolicyEntries,
} from "../../../src/store/eviction/eviction-policy.ts";
import { hashOfText } from "../../../src/store/eviction/shared-columns.ts";

export interface CountingPolicy extends EvictionPolicy {
  readonly bytes: number;
}

export interface TierEntry {
  readonly key: string;
  readonly sizeBytes: number;
}

const rowsMaxDefault = 100_000;

/** Entries in numbered rows. */
export class NumberedEntries implements PolicyEntries {
  readonly #entries: (TierEntry | undefined)[] = [undefined];
  readonly #freeRows: number[] = [];

  /** The row of a new entry. */
  add(key: string, sizeBytes: number): number {
    const row = this.#freeRows.pop() ?? this.#entries.length;
    this.#entries[row] = { key, sizeBytes };
    return row;
  }

  free(row: number): void {
    this.#entries[row] = undefined;
    this.#freeRows.push(row);
  }

  at(row: number): TierEntry {
    const entry = this.#entries[row];
    assert.ok(entry, `row ${row} is in use`);
    return entry;
  }

  sizeOf(row: number): number {
    return this.at(row).sizeBytes;
  }

  hashOf(row: number): number {
    return hashOfText(this.at(row).key);
  }
}

export class PolicyTier<Policy extends CountingPolicy> {
  readonly policy: Policy;
  readonly entries = new NumberedEntries();
  /** The rows of the held keys. */
  readonly held = new Map<string, number>();
  readonly evicted: string[] = [];
  readonly #capacityBytes: number;

  constructor(capacityBytes: number, newPolicy: (entries: PolicyEntries, rowsMax: number) => Policy) {
    this.#capacityBytes = capacityBytes;
    this.policy = newPolicy(this.entries, rowsMaxDefault);
  }

  /** An entry larger than the tier is not inserted, but all others are evicted. */
  insert(key: string, sizeBytes = 1, ahead = false): void {
    while (this.policy.bytes + sizeBytes > this.#capacityBytes) {
      const victim = this.evict();
      if (victim === undefined) return assert.equal(this.policy.bytes, 0);
      this.evicted.push(victim);
    }
    const row = this.entries.add(key, sizeBytes);
    this.held.set(key, row);
    this.policy.insert(row, ahead);
  }

  insertAll(prefix: string, count: number): void {
    for (let index = 0; index < count; index += 1) this.insert(`${prefix}${index}`);
  }

  /** The key that the policy evicts, which is not held any more. */
  evict(): string | undefined {
    const row = this.policy.evict();
    if (row === noRow) return undefined;
    const { key } = this.entries.at(row);
    this.entries.free(row);
    assert.ok(this.held.delete(key));
    return key;
  }

  remove(key: string): void {
    const row = this.rowOf(key);
    this.policy.remove(row);
    this.entries.free(row);
    this.held.delete(key);
  }

  rowOf(key: string): number {
    const row = this.held.get(key);
    assert.ok(row, `${key} is held`);
    return row;
  }

  touch(key: string, times = 1): void {
    const row = this.rowOf(key);
    for (let time = 0; time < times; time += 1) this.policy.touch(row);
  }

  remembers(key: string): boolean {
    return this.policy.remembers(hashOfText(key));
  }

  /** A request as a cache serves it. True for a hit. */
  request(key: string, sizeBytes = 1, ahead = false): boolean {
    const isHeld = this.held.has(key);
    if (!isHeld) this.insert(key, sizeBytes, ahead);
    else if (!ahead) this.touch(key);
    return isHeld;
  }

  get heldBytes(): number {
    return [...this.held.values()].reduce((total, row) => total + this.entries.sizeOf(row), 0);
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
        const row = held.get(name);
        if (kind === "evict") {
          const wasEmpty = held.size === 0;
          assert.equal(tier.evict() === undefined, wasEmpty);
        } else if (kind === "reinsert") {
          const victim = policy.evict();
          if (victim !== noRow) policy.reinsert(victim);
        } else if (kind === "supersede") {
          if (row) policy.supersede(row);
        } else if (kind === "remove") {
          if (row) tier.remove(name);
        } else if (row) {
          policy.touch(row);
        } else {
          tier.insert(name, sizeBytes, kind === "ahead");
        }
        assert.equal(policy.bytes, tier.heldBytes);
        for (const each of held.keys()) assert.ok(!tier.remembers(each));
      }
      while (held.size > 0) assert.ok(tier.evict());
      assert.equal(policy.evict(), noRow);
      assert.equal(policy.bytes, 0);
    }),
  );
}
