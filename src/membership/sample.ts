/** Picks at random and without repetition, for those who ask or tell only some of the members. */
import type { Random } from "../base/random.ts";

/** `count` of `items`, or all where there are fewer, in random order (the beginning of a Fisher-Yates shuffle). */
export function sample<Item>(items: readonly Item[], count: number, random: Random): Item[] {
  const pool = [...items];
  const picked = Math.min(count, pool.length);
  for (let index = 0; index < picked; index += 1) {
    const other = index + Math.floor(random.next() * (pool.length - index));
    const item = pool[other] as Item;
    pool[other] = pool[index] as Item;
    pool[index] = item;
  }
  return pool.slice(0, picked);
}
