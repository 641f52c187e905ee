/**
 * The order in which transfers send to clients that take bytes as fast as they come. A socket with room takes megabytes
 * at once, and the event loop accepts one connection a turn. Without this order the last of a crowd of clients waits for
 * the megabytes of all others, again and again, for seconds.
 *
 * A turn of the event loop sends a few megabytes for all connections together, a slice for each, first come, first served.
 *
 * Invariant: a transfer is in the queue at most once, so the queue is no longer than the number of open responses.
 */
import { Linked, LinkedList } from "../base/linked-list.ts";
import { MiB } from "../base/units.ts";

/** About a millisecond of copying into sockets. */
const turnBytesMax = 4 * MiB;

export abstract class TurnTaker extends Linked {
  /** @returns how many bytes it sent. 0 where it has none yet, or where its client is gone. */
  abstract takeTurn(): number;
}

export class TransferTurns {
  readonly #waiting = new LinkedList<TurnTaker>();
  #isScheduled = false;

  /** `takeTurn` is called once, in a later turn of the event loop. */
  wait(taker: TurnTaker): void {
    this.#waiting.push(taker);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#isScheduled = false;
    let sentBytes = 0;
    // Those that wait again meanwhile have their turn later.
    for (let left = this.#waiting.size; left > 0 && sentBytes < turnBytesMax; left -= 1) {
      sentBytes += this.#waiting.shift()?.takeTurn() ?? 0;
    }
    if (this.#waiting.size > 0) this.#schedule();
  };
}
