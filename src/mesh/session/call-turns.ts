/**
 * The turns of the event loop in which the calls of one session begin: a few in each, first come, first served. Hundreds
 * of calls can arrive in one packet. Without this, other peers and clients would wait until the last of them has begun.
 * The limits of a session bound how many wait: its streams, and those that it may reset (http2-limits.ts).
 */
import { nextTurn } from "../../base/clock.ts";

/** Enough for a peer that begins to read an object, which asks for some tens of chunks. */
const callsPerTurnMax = 16;

export class CallTurns {
  /** Resolves in the turn of the calls that come now. Undefined if this is that turn. */
  #turn: Promise<void> | undefined;
  /** Calls in that turn so far. */
  #calls = 0;

  /** Undefined if a call may begin at once. Otherwise it resolves when the call may begin. */
  next(): Promise<void> | undefined {
    if (this.#calls === callsPerTurnMax) this.#open(this.#turn ? this.#turn.then(nextTurn) : nextTurn());
    else if (this.#calls === 0) this.#open(undefined);
    this.#calls += 1;
    return this.#turn;
  }

  #open(turn: Promise<void> | undefined): void {
    this.#turn = turn;
    this.#calls = 0;
    void this.#closeAfter(turn);
  }

  async #closeAfter(turn: Promise<void> | undefined): Promise<void> {
    await turn;
    await nextTurn();
    if (this.#turn !== turn) return;
    this.#turn = undefined;
    this.#calls = 0;
  }
}
