/**
 * Sends the body of a request as slices, without a copy. It writes each slice when the kernel has taken the one before, so
 * that a deadline can watch every slice of a body that takes minutes.
 */
import type { Socket } from "node:net";
import { assert } from "../base/assert.ts";

export class Upload {
  readonly #socket: Socket;
  readonly #slices: readonly Uint8Array[];
  readonly #onTaken: () => void;
  #taken = 0;
  #halted = false;

  /** Calls `onTaken` after each slice. A failed socket reports its error itself, and `onTaken` is not called any more. */
  constructor(socket: Socket, slices: readonly Uint8Array[], onTaken: () => void) {
    assert(slices.length > 0, "a body has a slice");
    this.#socket = socket;
    this.#slices = slices;
    this.#onTaken = onTaken;
  }

  /** Whether the kernel has taken all slices. They are in use until then, or until the socket has closed. */
  get done(): boolean {
    return this.#taken === this.#slices.length;
  }

  /** Writes the first slice. Call it once. */
  start(): void {
    this.#writeNext();
  }

  /** Stops, because the server has answered early. The slice that the kernel is taking stays in use. */
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
