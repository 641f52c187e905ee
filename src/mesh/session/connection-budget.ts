/**
 * How many connections an address may open. The limits of a session (streams, resets, bytes in transit) begin anew with
 * each connection, so a client that reconnects after each attack would have no limit at all. A session that ends with a
 * protocol error, such as a flood, costs as much as many connections.
 */
import { isIPv6 } from "node:net";
import type { Clock } from "../../base/clock.ts";
import { LruMap } from "../../base/lru-map.ts";
import { TokenBucket, type TokenBucketOptions } from "../../base/token-bucket.ts";

export interface ConnectionRate extends TokenBucketOptions {
  /** What a session that broke costs, in connections. */
  readonly brokenCost: number;
}

/** A peer opens two connections, and tries again after 0.1 s at the earliest. Many may share a host or a gateway. */
export const defaultConnectionRate: ConnectionRate = { perSecond: 8, burst: 128, brokenCost: 32 };

/** The address that was seen least recently is forgotten first. */
const addressesMax = 4096;

export class ConnectionBudget {
  readonly #clock: Clock;
  readonly #rate: ConnectionRate;
  readonly #buckets = new LruMap<string, TokenBucket>({ entriesMax: addressesMax });

  constructor(clock: Clock, rate: ConnectionRate = defaultConnectionRate) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** Whether this address may open one more connection now. */
  take(address: string | undefined): boolean {
    return this.#bucketOf(address).take();
  }

  /** A session of this address ended with a protocol error. */
  chargeBroken(address: string | undefined): void {
    this.#bucketOf(address).charge(this.#rate.brokenCost);
  }

  #bucketOf(address = ""): TokenBucket {
    const network = networkOf(address);
    const known = this.#buckets.get(network);
    if (known) return known;
    const bucket = new TokenBucket(this.#clock, this.#rate);
    this.#buckets.set(network, bucket);
    return bucket;
  }
}

/** One host has a whole /64 of IPv6 addresses. */
export function networkOf(address: string): string {
  if (!isIPv6(address) || address.includes(".")) return address.replace(/^::ffff:/i, "");
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = new Array<string>(tail === undefined ? 0 : 8 - groups.length - after.length).fill("0");
  return [...groups, ...gap, ...after].slice(0, 4).join(":");
}
