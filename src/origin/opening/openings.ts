/**
 * Openings of objects, under the permits and retries of a guarded origin. Attempts that fail before the metadata has come
 * are repeated. A failure after that ends only the body, and the flight that waits for it reads the rest.
 */
import { assert } from "../../base/assert.ts";
import type { ByteSink } from "../../base/byte-sink.ts";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type Entrant, eitherSignal } from "../hedging/hedge.ts";
import { MinRate, type MinRateSettings } from "../min-rate.ts";
import type {
  BodyPlace,
  DeleteMarker,
  FirstBytes,
  ObjectHead,
  Opening,
  OpenRequest,
  Origin,
} from "../origin.ts";
import type { OriginTrace } from "../origin-trace.ts";
import { OpeningBody } from "./opening-body.ts";

/** Called with what an opening says. Undefined where the bytes that follow are not wanted. */
export type BodyReceiver = (opening: Opening) => BodyPlace | undefined;

/** @see OpenOutcome */
export type OpenAnswer =
  | { readonly outcome: "opened"; readonly head: ObjectHead }
  | { readonly outcome: "unsatisfiable" }
  | { readonly outcome: "absent"; readonly marker: DeleteMarker | null };

export interface OpeningStats {
  bytes: number;
  retries: number;
  resumes: number;
  openings: number;
  /** The bytes had no place: they were held already, or there was no memory for them. */
  openingsWasted: number;
}

export interface OpeningsOptions {
  readonly origin: Origin;
  readonly clock: Clock;
  readonly minRate: MinRateSettings;
  readonly closing: AbortSignal;
  /** Those of the guarded origin. */
  readonly stats: OpeningStats;
  readonly tooSlow: (request: OpenRequest, windowBytes: number) => OrcaError;
}

/** The attempts of one opening. */
export interface OpeningAttempts {
  /** Runs one attempt under a permit. With hedging it may ask twice, each time as another entrant. */
  readonly permitted: (
    ask: (entrant?: Entrant) => Promise<void>,
    receivedBytes: () => number,
  ) => Promise<void>;
  /** Returns when the next attempt is due, or throws the fault again. */
  readonly pause: (thrown: unknown) => Promise<void>;
}

/** Ends an opening of which no more bytes are wanted. */
const enough = new OrcaError("internal", "origin", "Enough bytes of an opening have come");

export class Openings {
  readonly #options: OpeningsOptions;

  constructor(options: OpeningsOptions) {
    this.#options = options;
  }

  arePossible({ lastBytes }: FirstBytes): boolean {
    const { origin } = this.#options;
    return origin.open !== undefined && (lastBytes === undefined || origin.opensAtEnd === true);
  }

  /** Resolves when the metadata is here; `receive` was called just before. */
  open(
    request: OpenRequest,
    receive: BodyReceiver,
    steps: OriginTrace,
    attempts: OpeningAttempts,
  ): Promise<OpenAnswer> {
    this.#options.stats.openings += 1;
    const { promise, resolve, reject } = Promise.withResolvers<OpenAnswer>();
    const repeat = async (): Promise<void> => {
      for (;;) {
        let isAnswered = false;
        const answer = (answered: OpenAnswer): void => {
          isAnswered = true;
          resolve(answered);
        };
        try {
          await this.#attempt(request, receive, steps, attempts, answer);
          return;
        } catch (thrown) {
          if (isAnswered) return;
          await attempts.pause(thrown);
        }
      }
    };
    repeat().catch(reject);
    return promise;
  }

  async #attempt(
    request: OpenRequest,
    receive: BodyReceiver,
    steps: OriginTrace,
    { permitted }: OpeningAttempts,
    answer: (answered: OpenAnswer) => void,
  ): Promise<void> {
    const { clock, minRate, tooSlow, stats } = this.#options;
    const stop = new AbortController();
    const rate = new MinRate(minRate, clock, (bytes) => stop.abort(tooSlow(request, bytes)));
    const onBytes = (lengthBytes: number): void => void (stats.bytes += lengthBytes);
    const stopEnough = (): void => stop.abort(enough);
    let body: OpeningBody | undefined;
    let left: AbortSignal | undefined;
    const onOpening = (opening: Opening): ByteSink | null => {
      const { head, lengthBytes } = opening;
      const place = lengthBytes > 0 ? receive(opening) : undefined;
      if (lengthBytes > 0 && !place) stats.openingsWasted += 1;
      answer({ outcome: "opened", head });
      left = place?.signal;
      left?.addEventListener("abort", stopEnough, { once: true });
      const isLonger = request.withChecksums && head.sizeBytes > lengthBytes;
      const cut = isLonger ? stopEnough : undefined;
      body = place && new OpeningBody({ place, lengthBytes, rate, onBytes, cut });
      return body ?? null;
    };
    const ask = async (entrant?: Entrant): Promise<void> => {
      const { offset, lengthBytes, lastBytes } = request;
      const range = lastBytes === undefined ? { offset, lengthBytes } : { lastBytes: lengthBytes };
      steps.attempt(range, entrant);
      const onHead = (opening: Opening): ByteSink | null =>
        entrant?.answered() === false ? null : onOpening(opening);
      const stopped = eitherSignal([this.#options.closing, stop.signal], entrant);
      const outcome = await this.#ask(request, onHead, stopped);
      if (outcome !== undefined && entrant?.answered() !== false) answer(outcome);
    };
    try {
      await permitted(ask, () => body?.receivedBytes ?? 0);
      body?.end();
    } catch (thrown) {
      const action = `Cannot read "${request.bucket}/${request.key}"`;
      if (body && body.receivedBytes > 0 && body.isShort) {
        // Its flight reads the rest.
        stats.retries += 1;
        stats.resumes += 1;
      }
      body?.end(OrcaError.from(thrown, "origin_unavailable", "origin", action));
      throw thrown;
    } finally {
      rate.end();
      left?.removeEventListener("abort", stopEnough);
    }
  }

  /** Undefined for an opening with bytes, of which `onOpening` has learned. */
  async #ask(
    request: OpenRequest,
    onOpening: (opening: Opening) => ByteSink | null,
    stopped: AbortSignal,
  ): Promise<OpenAnswer | undefined> {
    const { origin } = this.#options;
    assert(origin.open !== undefined, "an origin is opened only if it can be");
    try {
      const outcome = await origin.open(request, onOpening, stopped);
      if (outcome === "opened") return undefined;
      return outcome === "unsatisfiable" ? { outcome } : { outcome: "absent", marker: outcome };
    } catch (thrown) {
      if (thrown !== enough) throw thrown;
      return undefined;
    }
  }
}
