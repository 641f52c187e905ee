/**
 * The way of an object's bytes from a reader to a client's socket: with object-handler.ts, which sends bodies of one
 * slice itself, the one part that a leaner response path would take the place of. One slice is with the socket at a time and is
 * pinned until the kernel has it, so a slow client holds one segment; the kernel's own buffer keeps its line busy.
 *
 * Bytes are released (a) by the callback of their write, or (b) when the response closes: a socket that dies may never
 * call back, and it emits `close` only after the kernel has let go of what was queued.
 */
import type { ServerResponse } from "node:http";
import { OrcaError } from "../base/orca-error.ts";
import type { ObjectReader } from "../fill/object-reader.ts";

export class ObjectTransfer {
  readonly #response: ServerResponse;
  readonly #reader: ObjectReader;
  readonly #onBroken: (error: OrcaError) => void;

  /** `onBroken` is told why a body had to be cut short; the client sees a broken connection. */
  constructor(response: ServerResponse, reader: ObjectReader, onBroken: (error: OrcaError) => void) {
    this.#response = response;
    this.#reader = reader;
    this.#onBroken = onBroken;
  }

  /** Sends `slice`, which the reader gave out, and then the rest. The head is written already. */
  send(slice: Buffer): void {
    if (this.#reader.done) this.#response.end(slice);
    else this.#response.write(slice, this.#onWritten);
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error || this.#response.destroyed) return;
    this.#reader.release();
    this.#sendNext();
  };

  #sendNext(): void {
    const slice = this.#reader.take();
    if (slice === null) void this.#waitForBytes();
    else this.send(slice);
  }

  async #waitForBytes(): Promise<void> {
    try {
      await this.#reader.ready();
    } catch (thrown) {
      const error = OrcaError.from(thrown, "internal", "edge", "Cannot go on with a response");
      // A response that looks complete is complete: what cannot be completed is cut where it stands.
      this.#response.destroy();
      this.#onBroken(error);
      return;
    }
    if (!this.#response.destroyed) this.#sendNext();
  }
}
