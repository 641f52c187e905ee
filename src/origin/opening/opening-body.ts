/** The bytes of an opening on their way to their place: counted, watched for a minimum rate, and cut where enough have come. */
import type { ByteSink } from "../../base/byte-sink.ts";
import type { OrcaError } from "../../base/orca-error.ts";
import type { MinRate } from "../min-rate.ts";
import type { BodyPlace } from "../origin.ts";

export interface OpeningBodyOptions {
  readonly place: BodyPlace;
  readonly lengthBytes: number;
  readonly rate: Pick<MinRate, "received">;
  readonly onBytes: (lengthBytes: number) => void;
  /** Called with the last byte wanted, where the origin would send more. */
  readonly cut: (() => void) | undefined;
}

export class OpeningBody implements ByteSink {
  receivedBytes = 0;
  readonly #options: OpeningBodyOptions;

  constructor(options: OpeningBodyOptions) {
    this.#options = options;
  }

  get isShort(): boolean {
    return this.receivedBytes < this.#options.lengthBytes;
  }

  space(): Buffer {
    return this.#options.place.sink.space();
  }

  advance(lengthBytes: number): void {
    const { place, rate, onBytes, cut } = this.#options;
    this.receivedBytes += lengthBytes;
    onBytes(lengthBytes);
    rate.received(lengthBytes);
    place.sink.advance(lengthBytes);
    if (this.receivedBytes === this.#options.lengthBytes) cut?.();
  }

  /** An error after the last byte wanted is none. */
  end(error?: OrcaError): void {
    this.#options.place.ended(this.isShort ? error : undefined);
  }
}
