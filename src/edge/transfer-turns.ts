/**
 * The order in which transfers send to clients that take bytes as fast as they come. A socket with room takes megabytes
 * at once, and the event loop accepts one connection a turn. Without this order the last of a crowd of clients waits for
 * the megabytes of all others, again and again, for seconds.
 *
 * A turn of the event loop sends a few megabytes for all connections together, a slice for each, first come, first served.
 *
 * Invariant: a transfer is in the queue at most once, so the queue is no longer than the number of open responses.
 */
import { MiB } from "../base/units.ts";

/** About a millisecond of copying into sockets. */
const turnBytesMax = 4 * MiB;

export interface TurnTaker {
  /** Links the queue. Only {@link TransferTurns} changes it. */
  nextInTurn: TurnTaker | undefined;
  /** @returns how many bytes it sent. 0 where it has none yet, or where its client is gone. */
  takeTurn(): number;
}

export class TransferTurns {
  #first: TurnTaker | undefined;
  #last: TurnTaker | undefined;

  /** `takeTurn` is called once, in a later turn of the event loop. */
  wait(taker: TurnTaker): void {
    if (this.#last) {
      this.#last.nextInTurn = taker;
    } else {
      this.#first = taker;
      setImmediate(this.#run);
    }
    this.#last = taker;
  }

  readonly #run = (): void => {
    let sentBytes = 0;
    while (this.#first && sentBytes < turnBytesMax) {
      const taker: TurnTaker = this.#first;
      this.#first = taker.nextInTurn;
      taker.nextInTurn = undefined;
      sentBytes += taker.takeTurn();
    }
    if (this.#first) setImmediate(this.#run);
    else this.#last = undefined;
  };
}
