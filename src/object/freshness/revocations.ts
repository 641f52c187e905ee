/**
 * Tells other threads which entries of the directories they may use no longer. A thread keeps a copy of an answer, which
 * is fresh for a while, and the number in the word of the answer's name. The engine changes the number when the entry is
 * dropped, replaced or evicted. A thread that reads another number than it has kept asks again.
 *
 * Names share words, so a change may revoke copies of other entries, too. Their threads ask the engine once more, which has
 * the answer. No word is ever allocated or freed, so nothing here can run out or go wrong with the order of messages.
 *
 * Why no thread uses a revoked answer: (1) the engine reads the number in the turn in which it finds the entry; (2) it
 * changes the number in the turn in which the entry goes; (3) a thread compares before each use. A number from before (2)
 * is never current again, until it has changed 2^32 times within the time of one copy.
 *
 * A thread that uses a copy sets a byte of its name. The engine takes it when an eviction comes to the entry: an entry that
 * is used in threads alone would look unused. Here, too, names share bytes, and a use may spare another entry, or be taken
 * for one. With eight bytes an entry that is rare, and costs a question to the origin at most.
 */
import { hashOfText, sharedBytes, sharedWords } from "../../store/eviction/shared-columns.ts";

/** How long a copy of an answer may be used in another thread. */
export interface AnswerLease {
  readonly freshMs: number;
  /** How long it is an answer of {@link Directory.peekRefreshed}. */
  readonly refreshedMs: number;
  /** In the word of its name. */
  readonly number: number;
}

/** 256 KiB. Each change revokes one copy of 65,536. */
const wordsMax = 65_536;

const usesPerEntry = 8;
const usesMin = 65_536;
const usesMax = 2 ** 24;

export interface RevocationMemory {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly uses: Uint8Array;
}

/** `entriesMax`: of all directories together. */
export function revocationMemory(entriesMax: number): RevocationMemory {
  const uses = 2 ** Math.ceil(Math.log2(entriesMax * usesPerEntry));
  return {
    words: sharedWords(wordsMax),
    uses: sharedBytes(Math.min(usesMax, Math.max(usesMin, uses))),
  };
}

export class Revocations {
  readonly memory: RevocationMemory;

  /** `memory`: that of the engine's Revocations, in another thread. */
  constructor(memory: RevocationMemory) {
    this.memory = memory;
  }

  /** Where the number of a name stands. */
  wordOf(name: string): number {
    return hashOfText(name) & (this.memory.words.length - 1);
  }

  /** Where the engine learns of uses of copies of a name. */
  useOf(name: string): number {
    return hashOfText(name) & (this.memory.uses.length - 1);
  }

  numberAt(word: number): number {
    return Atomics.load(this.memory.words, word);
  }

  /** Threads that use the same copies write no cache line that the others read, but for once. */
  use(at: number): void {
    const { uses } = this.memory;
    if (uses[at] === 0) uses[at] = 1;
  }

  /** For the engine alone, as the next: whether a copy was used since the last call. */
  takeUse(name: string): boolean {
    const { uses } = this.memory;
    const at = this.useOf(name);
    if (uses[at] === 0) return false;
    uses[at] = 0;
    return true;
  }

  revoke(name: string): void {
    Atomics.add(this.memory.words, this.wordOf(name), 1);
  }
}
