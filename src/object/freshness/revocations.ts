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
 */
import { hashOfText, sharedWords } from "../../store/eviction/shared-columns.ts";

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

export class Revocations {
  readonly words: Int32Array<SharedArrayBuffer>;

  /** `words`: those of the engine's Revocations, in another thread. */
  constructor(words = sharedWords(wordsMax)) {
    this.words = words;
  }

  /** Where the number of a name stands. */
  wordOf(name: string): number {
    return hashOfText(name) & (this.words.length - 1);
  }

  numberAt(word: number): number {
    return Atomics.load(this.words, word);
  }

  /** For the engine alone. */
  revoke(name: string): void {
    Atomics.add(this.words, this.wordOf(name), 1);
  }
}
