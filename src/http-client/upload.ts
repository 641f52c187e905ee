/**
 * The body of a request on its way into a socket: slices that are written where they lie, each when the kernel has taken
 * the one before. So nothing is joined or copied, and a deadline can watch every slice of a body that takes minutes.
 */
import type { Socket } from "node:net";
import { assert } from "../base/assert.ts";

export class Upload {
  readonly #socket: Socket;
  readonly #slices: readonly Uint8Array[];
  readonly #onTaken: () => void;
  #taken = 0;
  #halted = false;

  /** `onTaken` is called after each slice, and not any more once the socket has failed: the socket tells of that. */
  constructor(socket: Socket, slices: readonly Uint8Array[], onTaken: () => void) {
    assert(slices.length > 0, "a body has a slice");
    this.#socket = socket;
    this.#slices = slices;
    this.#onTaken = onTaken;
  }

  /** Whether the kernel has all of it. Until then, or until the socket has closed, the slices are in use. */
  get done(): boolean {
    return this.#taken === this.#slices.length;
  }

  /** Writes the first slice. Once. */
  start(): void {
    this.#writeNext();
  }

  /** The server has answered and wants no more of it. What the kernel is taking just now stays in use. */
  halt(): void {
    this.#halted = true;
  }

  #writeNext(): void {
    const slice = this.#slices[this.#taken];
    if (slice !== undefined) this.#socket.write(slice, this.#onWritten);
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error) return;
    this.#taken += 1;
    this.#onTaken();
    if (!this.#halted && !this.#socket.destroyed) this.#writeNext();
  };
}
