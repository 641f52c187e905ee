/**
 * A body that has begun to arrive without a flight: the answer to the first request for an object brings its metadata and
 * its first bytes together. Its sender uses it as the place for its bytes (origin/origin.ts).
 */
import type { ByteSink } from "../base/byte-sink.ts";
import type { OrcaError } from "../base/orca-error.ts";
import type { Flight } from "./flight.ts";

/** The body, as the sender of its bytes sees it. */
export interface ReceivedBody {
  readonly sink: ByteSink;
  /** Aborts when nobody reads the flight any more. Bytes that come after that are dropped. */
  readonly signal: AbortSignal;
  /**
   * The sender does not use the sink any more. Exactly once; where bytes are missing, the flight fetches them itself.
   * Without an error the sender was stopped, and a flight that nobody reads is cut.
   */
  ended(error?: OrcaError): void;
}

/** `ended` is called once, when the sender does not use the memory of the flight any more. */
export function receivedBodyOf(flight: Flight, stopping: AbortSignal, ended: () => void): ReceivedBody {
  return {
    sink: flight.sink,
    signal: AbortSignal.any([flight.cutSignal, stopping]),
    // What was wrong with the body is wrong again, or right, when the flight asks for the rest.
    ended: (error) => {
      if (!error) flight.cutIfUnread();
      ended();
    },
  };
}
