/**
 * Random numbers, passed to each part that needs them. Jitter and sampling draw from a Random, so that its seed repeats a
 * test or a simulated run exactly. Nothing here is fit for secrets.
 */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
}

export class SystemRandom implements Random {
  next(): number {
    return Math.random();
  }
}

/** mulberry32: 32 bits of state, and a distribution that is good enough for jitter, traces and simulation. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }
}

/** `count` of `items` in random order, or all if there are fewer: the first steps of a Fisher-Yates shuffle. */
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
