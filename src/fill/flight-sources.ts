/**
 * Where the filler's flights get their bytes: from the cachestore, or from copies on other replicas' disks, and what those
 * do not have from the origin.
 */
import type { ByteSink, PlacedSink } from "../base/byte-sink.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { RangeRequest } from "../origin/origin.ts";
import type { ChunkKey } from "../store/chunk-store.ts";
import type { FetchTrace } from "../trace/fetch-trace.ts";
import { watched } from "../trace/stalls/stall-watch.ts";
import type { Flight, FlightSource, MissingBytes } from "./flight.ts";
import type { Cachestore } from "./memory-chunks.ts";

/** An origin, as a filler uses it. */
export interface RangeSource {
  /** Requests that have a permit, how many may have one, and how many wait for one. Left out where none is needed. */
  readonly requestsInFlight?: number;
  readonly requestsInFlightMax?: number;
  readonly requestsWaiting?: number;
  read(request: RangeRequest, sink: ByteSink, signal: AbortSignal): Promise<void>;
}

/** Copies of chunks outside this replica: a fill asks here before it asks the origin. */
export interface CopySource {
  /**
   * Fetches the bytes of a chunk that are missing. Undefined: no copy has the rest, and the sink holds a true prefix of
   * them, perhaps nothing. Rejects only with the signal's reason.
   */
  fetch(
    key: ChunkKey,
    missing: MissingBytes,
    sink: PlacedSink,
    signal: AbortSignal,
    trace?: FetchTrace,
  ): Promise<FetchedBytes | undefined>;
}

export interface FetchedBytes {
  /** Of the whole chunk; undefined where the sender does not know it. */
  readonly sha256: Uint8Array | undefined;
}

export interface FlightSourcesOptions {
  readonly origins: ReadonlyMap<string, RangeSource>;
  readonly cachestore?: Cachestore | undefined;
  readonly copySource?: CopySource | undefined;
}

export class FlightSources {
  /** The first source of a flight's bytes. */
  readonly first: FlightSource;
  readonly #options: FlightSourcesOptions;

  constructor(options: FlightSourcesOptions) {
    this.#options = options;
    this.first = options.cachestore ? "cachestore" : options.copySource ? "peer" : "origin";
  }

  /**
   * Read-ahead leaves half of an origin's permits, and its queue, to readers that wait. A chunk in the cachestore needs no
   * permit.
   */
  mayReadAhead(key: ChunkKey): boolean {
    const { origins, cachestore } = this.#options;
    const origin = origins.get(key.version.originId);
    const { requestsInFlight = 0, requestsInFlightMax = Infinity, requestsWaiting = 0 } = origin ?? {};
    const hasPermits = requestsWaiting === 0 && requestsInFlight < requestsInFlightMax / 2;
    return hasPermits || cachestore?.presence(key) === "held";
  }

  /** Reads the bytes that a flight lacks, or throws. What the sources before the origin do not have comes from there. */
  async read(flight: Flight, sink: PlacedSink, signal: AbortSignal): Promise<void> {
    if (flight.source === "disk") flight.turnTo(this.first);
    if (flight.source !== "origin") {
      if (await this.#readCopy(flight, sink, signal)) return;
      flight.turnToOrigin();
    }
    const { version, index } = flight.key;
    const origin = this.#options.origins.get(version.originId);
    if (!origin) {
      throw new OrcaError(
        "internal",
        "fill",
        `Cannot fill from origin "${version.originId}": it is not configured`,
      );
    }
    const request: RangeRequest = {
      bucket: version.bucket,
      key: version.objectKey,
      ...(version.versionId !== undefined && { versionId: version.versionId }),
      etag: version.etag,
      contentCoding: version.contentCoding,
      objectSizeBytes: version.sizeBytes,
      offset: index * version.chunkSizeBytes + flight.filled,
      lengthBytes: flight.to - flight.filled,
      ...(flight.trace && { trace: flight.trace }),
    };
    await origin.read(request, sink, signal);
  }

  /** Reads the bytes that a flight lacks from the cachestore or from peers. False where they do not have the rest. */
  async #readCopy(flight: Flight, sink: PlacedSink, signal: AbortSignal): Promise<boolean> {
    const { cachestore, copySource } = this.#options;
    const { key, filled, to } = flight;
    // The store is asked also while its breaker is open: it answers at once, and counts the read as not tried.
    if (cachestore) {
      const outcome = await watched(flight.trace, "cachestore", "read", flight.trace?.about ?? {}, () =>
        cachestore.read(key, filled, to - filled, sink, signal),
      );
      signal.throwIfAborted();
      if (outcome === "hit") return true;
    }
    const fetched = await copySource?.fetch(key, flight, sink, signal, flight.trace);
    if (fetched?.sha256) flight.sentSha256 = Buffer.from(fetched.sha256).toString("hex");
    return fetched !== undefined;
  }
}
