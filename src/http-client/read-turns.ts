/**
 * The order in which the connections of a client read bodies that come faster than they are needed. The kernel keeps
 * megabytes for each connection, and the event loop would read all of them in one turn: with read-ahead on, hits of other
 * clients would wait for 20 to 50 MiB, which take as many milliseconds.
 *
 * Once a turn of the event loop has read {@link turnBytesMax}, a connection that has read something stops reading and waits.
 * Each turn lets the first few go on.
 *
 * Invariant: a connection waits at most once.
 */
import { MiB } from "../base/units.ts";

/** A few milliseconds of copying out of sockets into memory that is used for the first time. */
export const turnBytesMax = 2 * MiB;

/** Each reads up to a segment of 1 MiB at least. */
const resumedInTurn = 2;

export interface TurnReader {
  resume(): void;
}

export class ReadTurns {
  readonly #waiting = new Set<TurnReader>();
  #readBytes = 0;
  #isScheduled = false;

  /** It has read so many bytes. Returns whether it may go on. If not, it is resumed. */
  read(reader: TurnReader, lengthBytes: number): boolean {
    this.#readBytes += lengthBytes;
    this.#schedule();
    if (this.#readBytes < turnBytesMax) return true;
    this.#waiting.add(reader);
    return false;
  }

  /** It has ended. */
  leave(reader: TurnReader): void {
    this.#waiting.delete(reader);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#isScheduled = false;
    this.#readBytes = 0;
    let left = resumedInTurn;
    for (const reader of this.#waiting) {
      if (left === 0) break;
      left -= 1;
      this.#waiting.delete(reader);
      reader.resume();
    }
    if (this.#waiting.size > 0) this.#schedule();
  };
}
