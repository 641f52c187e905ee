/**
 * How threads read blocks in memory that one thread, the engine, fills and evicts. No thread waits for another: a reader
 * pins a block before it uses the bytes, and the engine frees no bytes that are pinned.
 *
 * Shared are an open-addressing table of row numbers (linear probing), and the rows, each a cache line:
 *
 *     state        a bit that says that the row is live, and below it the number of pins
 *     generation   changes whenever the row gets another block
 *     key          7 words: 128 bits of the hash of the version, the size of its object, the number of the block
 *     slab, offset, length: where the bytes lie; uses: how often readers used it, for the eviction policy
 *
 * A reader:                                          The engine, to evict:
 *   R1 reads a row number from the table               E1 takes the row out of the table
 *   R2 reads the row's generation                      E2 clears the live bit; the same step tells the pins
 *   R3 compares the key                                E3 frees the bytes if there were none. Else it waits for a
 *   R4 adds a pin; the same step tells the live bit       signal, and looks at the pins again.
 *   R5 reads the generation again                    and to insert, into a row that it has seen without pins since E2:
 *   R6 uses the bytes                                  I1 writes key and place
 *   R7 takes the pin away. If the row is dead and      I2 changes the generation
 *      that was the last pin, it signals               I3 sets the live bit, and leaves the pins as they are
 *   If R4 finds the row dead, or R5 another            I4 puts the row into the table
 *   generation, R7 follows at once: a miss.
 *
 * Interleavings:
 * 1. R4 before E2: E2 sees the pin, and the bytes stay until R7. R7 finds the row dead and signals.
 * 2. E2 before R4: R4 finds the row dead. The bytes may be free already; the reader does not touch them.
 * 3. R1 to R3, then E1 to E3 and I1 to I4 for another block, then R4: the row is live, and R5 finds that it is another
 *    block. The pin did no harm meanwhile: it can only delay the next E3.
 * 4. I1, then R2 and R3, then I2 to I4: the reader saw a key that was not published yet, or half of one. It has the
 *    generation from before I2, so R5 finds another one. So I2 must come after I1, and R2 before R3.
 * 5. R4 of a late reader between E3 and I3: I3 sets a bit and does not write the word, or R7 would make the pins negative.
 * 6. E3 finds pins, then the last R7, then the engine waits for a signal: it compares the number of signals with that
 *    from before it looked at the pins, so it does not wait.
 * 7. A removal moves rows in the table. A reader that passes at that moment may miss a row. A miss is always allowed: the
 *    engine is asked then, and knows.
 *
 * A generation returns after 2^32 blocks in one row, within the two steps of one reader. `test/store/shared-index/` runs
 * these functions in all interleavings of small cases, and breaks each step to see that it is needed.
 */

export interface IndexMemory {
  /** Row numbers; {@link noRow} where a place is empty. The length is a power of two, and half of it stays empty. */
  readonly table: Int32Array<SharedArrayBuffer>;
  /** {@link rowWords} for each row, from row 0 on, which is none. */
  readonly rows: Int32Array<SharedArrayBuffer>;
  /** One word: the number of signals. */
  readonly signal: Int32Array<SharedArrayBuffer>;
}

export const noRow = 0;
export const rowWords = 16;
export const keyWords = 7;

export const stateAt = 0;
export const generationAt = 1;
export const keyAt = 2;
export const placeAt = 9;
export const placeWords = 3;
export const usesAt = 12;

const live = 1 << 30;

/** More uses count for no policy. The bound keeps threads from writing to a line that all of them read. */
const usesMax = 8;

/** R1 to R5: the row of the block, pinned, or {@link noRow}. The caller unpins each row once. */
export function pin(memory: IndexMemory, key: Int32Array): number {
  const { table, rows } = memory;
  const mask = table.length - 1;
  let place = homeOf(key, 0) & mask;
  for (let probes = 0; probes <= mask; probes += 1) {
    const row = Atomics.load(table, place);
    if (row === noRow) return noRow;
    const start = row * rowWords;
    const generation = Atomics.load(rows, start + generationAt);
    if (hasKey(rows, start + keyAt, key)) {
      const before = Atomics.add(rows, start + stateAt, 1);
      const isLive = (before & live) !== 0;
      if (isLive && Atomics.load(rows, start + generationAt) === generation) return row;
      unpin(memory, row);
      return noRow;
    }
    place = (place + 1) & mask;
  }
  return noRow;
}

function hasKey(rows: Int32Array, start: number, key: Int32Array): boolean {
  for (let word = 0; word < keyWords; word += 1) {
    if (Atomics.load(rows, start + word) !== key[word]) return false;
  }
  return true;
}

/** R7. */
export function unpin(memory: IndexMemory, row: number): void {
  const before = Atomics.sub(memory.rows, row * rowWords + stateAt, 1);
  if (before !== 1) return;
  Atomics.add(memory.signal, 0, 1);
  Atomics.notify(memory.signal, 0);
}

/** Counts a use of a pinned row. */
export function use(memory: IndexMemory, row: number): void {
  const at = row * rowWords + usesAt;
  if (Atomics.load(memory.rows, at) < usesMax) Atomics.add(memory.rows, at, 1);
}

/** I1 to I4. `place`: slab, offset and length. */
export function publish(memory: IndexMemory, row: number, key: Int32Array, place: Int32Array): void {
  const { table, rows } = memory;
  const start = row * rowWords;
  for (let word = 0; word < keyWords; word += 1) {
    Atomics.store(rows, start + keyAt + word, key[word] as number);
  }
  for (let word = 0; word < placeWords; word += 1) {
    Atomics.store(rows, start + placeAt + word, place[word] as number);
  }
  Atomics.store(rows, start + usesAt, 0);
  Atomics.add(rows, start + generationAt, 1);
  Atomics.or(rows, start + stateAt, live);
  const mask = table.length - 1;
  let at = homeOf(key, 0) & mask;
  while (Atomics.load(table, at) !== noRow) at = (at + 1) & mask;
  Atomics.store(table, at, row);
}

/** E1 and E2. Returns whether the bytes are free. If not, {@link isUnpinned} tells when they are. */
export function condemn(memory: IndexMemory, row: number): boolean {
  takeOut(memory, row);
  const before = Atomics.and(memory.rows, row * rowWords + stateAt, ~live);
  return before === live;
}

/** E3, of a row that was condemned. */
export function isUnpinned(memory: IndexMemory, row: number): boolean {
  return Atomics.load(memory.rows, row * rowWords + stateAt) === 0;
}

/** Whether a live row is pinned at this moment. A hint: the answer may be wrong when it is read. */
export function isPinned(memory: IndexMemory, row: number): boolean {
  return Atomics.load(memory.rows, row * rowWords + stateAt) !== live;
}

/** The uses since the last call. */
export function takeUses(memory: IndexMemory, row: number): number {
  const at = row * rowWords + usesAt;
  return Atomics.load(memory.rows, at) === 0 ? 0 : Atomics.exchange(memory.rows, at, 0);
}

/** Closes the gap, so that every row stays reachable from its home without an empty place between (Knuth, 6.4 R). */
function takeOut(memory: IndexMemory, row: number): void {
  const { table, rows } = memory;
  const mask = table.length - 1;
  let gap = homeOf(rows, row * rowWords + keyAt) & mask;
  while (Atomics.load(table, gap) !== row) gap = (gap + 1) & mask;
  for (let at = (gap + 1) & mask; ; at = (at + 1) & mask) {
    const moved = Atomics.load(table, at);
    if (moved === noRow) break;
    const home = homeOf(rows, moved * rowWords + keyAt) & mask;
    if (((at - home) & mask) < ((at - gap) & mask)) continue;
    Atomics.store(table, gap, moved);
    gap = at;
  }
  Atomics.store(table, gap, noRow);
}

/** Where the search for a key begins. The words of the hash are even already; the blocks of a version must be, too. */
function homeOf(words: Int32Array, start: number): number {
  const block = words[start + keyWords - 1] as number;
  return (words[start] as number) ^ Math.imul(block, 0x9e3779b1);
}
