/**
 * The sink of one request of a race. Asking for space is what wins a race with a body, so the real sink gets the bytes of
 * one request only. A request that has lost writes into memory of its own, in case that its driver writes at all: the HTTP
 * client ends with the abort, and does not.
 */
import type { ByteSink } from "../../base/byte-sink.ts";
import { KiB } from "../../base/units.ts";
import type { Entrant } from "./hedge.ts";

export class HedgedSink implements ByteSink {
  readonly #sink: ByteSink;
  readonly #entrant: Entrant;

  constructor(sink: ByteSink, entrant: Entrant) {
    this.#sink = sink;
    this.#entrant = entrant;
  }

  space(): Buffer {
    return this.#entrant.answered() ? this.#sink.space() : Buffer.allocUnsafe(16 * KiB);
  }

  advance(lengthBytes: number): void {
    if (!this.#entrant.isLost) this.#sink.advance(lengthBytes);
  }
}
