/**
 * The policies that Orca's own is measured by, written plainly after their papers and for nothing else: no read-ahead, no
 * removal, numbers for keys.
 */
import { LruMap } from "../../src/base/lru-map.ts";

/** Brings a key in where it is not held, and says whether it was. */
export type CacheModel = (key: number, sizeBytes: number) => boolean;

export function lru(capacityBytes: number): CacheModel {
  const held = new LruMap<number, true>({ weightMax: capacityBytes });
  return (key, sizeBytes) => {
    if (held.get(key)) return true;
    held.set(key, true, sizeBytes);
    return false;
  };
}

interface SieveNode {
  readonly key: number;
  readonly sizeBytes: number;
  isVisited: boolean;
  newer: SieveNode | undefined;
  older: SieveNode | undefined;
}

/** Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is simpler than LRU", NSDI 2024. */
export function sieve(capacityBytes: number): CacheModel {
  const held = new Map<number, SieveNode>();
  let newest: SieveNode | undefined;
  let oldest: SieveNode | undefined;
  let hand: SieveNode | undefined;
  let bytes = 0;

  const makeRoom = (sizeBytes: number): void => {
    while (bytes + sizeBytes > capacityBytes && oldest) {
      let victim = hand ?? oldest;
      while (victim.isVisited) {
        victim.isVisited = false;
        victim = victim.newer ?? oldest;
      }
      hand = victim.newer;
      if (victim.newer) victim.newer.older = victim.older;
      else newest = victim.older;
      if (victim.older) victim.older.newer = victim.newer;
      else oldest = victim.newer;
      held.delete(victim.key);
      bytes -= victim.sizeBytes;
    }
  };

  return (key, sizeBytes) => {
    const node = held.get(key);
    if (node) {
      node.isVisited = true;
      return true;
    }
    makeRoom(sizeBytes);
    const inserted: SieveNode = { key, sizeBytes, isVisited: false, newer: undefined, older: newest };
    if (newest) newest.newer = inserted;
    else oldest = inserted;
    newest = inserted;
    held.set(key, inserted);
    bytes += sizeBytes;
    return false;
  };
}

/** A queue by the order of its keys; the oldest comes first. */
class SizedQueue<Value extends { readonly sizeBytes: number }> {
  readonly #values = new Map<number, Value>();
  bytes = 0;

  push(key: number, value: Value): void {
    this.delete(key);
    this.#values.set(key, value);
    this.bytes += value.sizeBytes;
  }

  shift(): [number, Value] | undefined {
    for (const [key, value] of this.#values) {
      this.delete(key);
      return [key, value];
    }
    return undefined;
  }

  delete(key: number): boolean {
    this.bytes -= this.#values.get(key)?.sizeBytes ?? 0;
    return this.#values.delete(key);
  }
}

/** Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache eviction", SOSP 2023: a tenth for the small queue. */
export function s3Fifo(capacityBytes: number): CacheModel {
  interface Node {
    readonly sizeBytes: number;
    uses: number;
  }
  const held = new Map<number, Node>();
  const small = new SizedQueue<Node>();
  const main = new SizedQueue<Node>();
  const ghosts = new SizedQueue<{ readonly sizeBytes: number }>();
  const smallBytesMax = capacityBytes / 10;
  const mainBytesMax = capacityBytes - smallBytesMax;

  const evictFromMain = (): void => {
    for (let oldest = main.shift(); oldest; oldest = main.shift()) {
      const [key, node] = oldest;
      if (node.uses === 0) {
        held.delete(key);
        return;
      }
      node.uses -= 1;
      main.push(key, node);
    }
  };

  const evictFromSmall = (): void => {
    const oldest = small.shift();
    if (oldest === undefined) return;
    const [key, node] = oldest;
    if (node.uses > 1) {
      node.uses = 0;
      main.push(key, node);
      if (main.bytes > mainBytesMax) evictFromMain();
      return;
    }
    held.delete(key);
    ghosts.push(key, node);
    while (ghosts.bytes > mainBytesMax) ghosts.shift();
  };

  return (key, sizeBytes) => {
    const node = held.get(key);
    if (node) {
      node.uses = Math.min(3, node.uses + 1);
      return true;
    }
    while (small.bytes + main.bytes + sizeBytes > capacityBytes) {
      if (small.bytes >= smallBytesMax || main.bytes === 0) evictFromSmall();
      else evictFromMain();
    }
    const inserted = { sizeBytes, uses: 0 };
    held.set(key, inserted);
    if (ghosts.delete(key)) main.push(key, inserted);
    else small.push(key, inserted);
    return false;
  };
}
