/**
 * One listing in a turn of the event loop. To write a page of a thousand keys takes milliseconds, and listings become
 * ready together: all that joined a request to the origin, and all that a peer asks for at once. Between them, other
 * requests have their turn.
 */
import { nextTurn } from "../base/clock.ts";

export class ListingTurns {
  #last = Promise.resolve();

  /** Resolves in a turn that no other listing gets. */
  next(): Promise<void> {
    this.#last = this.#last.then(nextTurn);
    return this.#last;
  }
}
