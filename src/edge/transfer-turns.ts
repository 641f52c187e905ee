/**
 * The order in which transfers send to clients that take bytes as fast as they come. A socket with room takes megabytes
 * at once, and the event loop accepts one connection a turn. Without this order the last of a crowd of clients waits for
 * the megabytes of all others, again and again, for seconds.
 *
 * A turn of the event loop sends a few megabytes for all connections together, a slice for each, first come, first served.
 *
 * A crowd that comes at once comes one connection a turn, so its last client waits for as many turns as it has clients.
 * Hence while many transfers wait, a new response sends its first bytes and no megabyte, and a turn that brought one
 * leaves the queue alone. The queue has its turn after {@link turnsLeftMax} of these, so nobody can stop it. In a thread that
 * asks the engine, a crowd comes in one turn, with megabytes for each: those after the first few get their first bytes, too.
 *
 * Invariant: a transfer is in the queue at most once, so the queue is no longer than the number of open responses.
 */
import { Linked, LinkedList } from "../base/linked-list.ts";
import { KiB, MiB } from "../base/units.ts";

/** About a millisecond of copying into sockets. */
const turnBytesMax = 4 * MiB;

/** So many transfers that wait are a crowd. */
const crowdMin = 64;

/** What a response of a crowd sends at once. */
const crowdFirstBytes = 64 * KiB;

/** Turns in a row that a crowd leaves to new responses. */
const turnsLeftMax = 16;

export abstract class TurnTaker extends Linked {
  /** @returns how many bytes it sent. 0 where it has none yet, or where its client is gone. */
  abstract takeTurn(): number;
}

export class TransferTurns {
  readonly #waiting = new LinkedList<TurnTaker>();
  #isScheduled = false;
  /** Since the last turn. */
  #begun = 0;
  #cameBytes = 0;
  #turnsLeft = 0;

  /**
   * A response begins, past the queue. @returns how many bytes it may send at once.
   * @param cameBytes Its first slice, where a message brought that: the same message may have brought slices of others.
   */
  begin(cameBytes = 0): number {
    const isCrowd =
      this.#waiting.size + this.#begun >= crowdMin || (cameBytes > 0 && this.#cameBytes >= turnBytesMax);
    this.#begun += 1;
    this.#cameBytes += isCrowd ? Math.min(cameBytes, crowdFirstBytes) : cameBytes;
    return isCrowd ? crowdFirstBytes : Number.POSITIVE_INFINITY;
  }

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
    if (this.#leavesTurn()) return this.#schedule();
    let sentBytes = 0;
    // Those that wait again meanwhile have their turn later.
    for (let left = this.#waiting.size; left > 0 && sentBytes < turnBytesMax; left -= 1) {
      sentBytes += this.#waiting.shift()?.takeTurn() ?? 0;
    }
    if (this.#waiting.size > 0) this.#schedule();
  };

  /** Whether others of the crowd seem to be on their way: the last turn of the event loop brought one. */
  #leavesTurn(): boolean {
    const isCrowd = this.#waiting.size >= crowdMin;
    const isLeft = isCrowd && this.#begun > 0 && this.#turnsLeft < turnsLeftMax;
    this.#begun = 0;
    this.#cameBytes = 0;
    this.#turnsLeft = isLeft ? this.#turnsLeft + 1 : 0;
    return isLeft;
  }
}
