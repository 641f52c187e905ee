/**
 * Sends an object's bytes from a reader to a client's socket. (Bodies of one slice are sent by object-handler.ts itself.)
 * The socket holds one slice at a time, held until the kernel has taken it, so a slow client holds one slice. The
 * kernel's own buffer keeps the connection busy meanwhile.
 *
 * Bytes are released (a) by the callback of their write, or (b) when the response closes: a socket that dies may never
 * call back, and it emits `close` only after the kernel has released the queued bytes.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { BodyReader } from "../fill/bodies.ts";
import type { EdgeResponse } from "./lane/edge-request.ts";
import { type TransferTurns, TurnTaker } from "./transfer-turns.ts";

/** Learns how fast the client takes its bytes. */
export interface TransferPace {
  sending(lengthBytes: number): void;
  taken(): void;
}

/** What a transfer needs of a response. */
type TransferResponse = Pick<EdgeResponse, "write" | "end" | "destroy" | "destroyed">;

export class ObjectTransfer extends TurnTaker {
  readonly #turns: TransferTurns;
  readonly #response: TransferResponse;
  readonly #reader: BodyReader;
  readonly #pace: TransferPace;
  readonly #onBroken: (error: OrcaError) => void;
  /** Of the first slice, where it is sent in two parts. */
  #rest: Buffer | undefined;

  /** `onBroken` receives the reason why a body was cut short. The client sees a broken connection. */
  constructor(
    turns: TransferTurns,
    response: TransferResponse,
    reader: BodyReader,
    pace: TransferPace,
    onBroken: (error: OrcaError) => void,
  ) {
    super();
    this.#turns = turns;
    this.#response = response;
    this.#reader = reader;
    this.#pace = pace;
    this.#onBroken = onBroken;
  }

  /** Sends `first`, taken from the reader, and then the rest. The head has been written. */
  begin(first: Buffer): void {
    const bytesMax = this.#turns.begin(this.#reader.keepsReady ? first.length : 0);
    if (first.length <= bytesMax) return this.#send(first);
    this.#rest = first.subarray(bytesMax);
    this.#pace.sending(bytesMax);
    this.#response.write(first.subarray(0, bytesMax), this.#onWritten);
  }

  #send(slice: Buffer): void {
    this.#pace.sending(slice.length);
    if (this.#reader.done) this.#response.end(slice);
    else this.#response.write(slice, this.#onWritten);
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error || this.#response.destroyed) return;
    this.#pace.taken();
    if (this.#rest === undefined) this.#reader.release();
    this.#turns.wait(this);
  };

  /** @internal For {@link TransferTurns}. */
  takeTurn(): number {
    if (this.#response.destroyed) return 0;
    const slice = this.#rest ?? this.#reader.take();
    this.#rest = undefined;
    if (slice === null) {
      void this.#waitForBytes();
      return 0;
    }
    this.#send(slice);
    return slice.length;
  }

  async #waitForBytes(): Promise<void> {
    try {
      await this.#reader.ready();
    } catch (thrown) {
      const error = OrcaError.from(thrown, "internal", "edge", "Cannot continue a response");
      // A response that looks complete is complete, so one that cannot be completed is cut.
      this.#response.destroy();
      this.#onBroken(error);
      return;
    }
    // Else at once: with little memory, the bytes may be evicted before a turn comes, again and again.
    if (this.#reader.keepsReady) this.#turns.wait(this);
    else this.takeTurn();
  }
}
