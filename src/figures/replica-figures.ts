/**
 * The figures of one replica, as `/figures` shows them and as replicas send them to each other. The field names are a
 * format: they stay, and new ones may come. proto/orca/v1/figures.proto has the same fields and says what each means.
 * A field that may be undefined is left out.
 */
export interface ReplicaFigures {
  readonly replica_id: string;
  readonly zone: string;
  readonly version: string;
  readonly phase: string;
  readonly at_ms: number;
  readonly started_ms: number;
  readonly served_bytes: number;
  readonly origin_bytes: number;
  readonly requests: number;
  readonly bad_answers: number;
  readonly sources: Readonly<Record<string, SourceFigures>>;
  readonly first_byte: readonly LatencyBucket[];
  readonly tiers: readonly TierFigures[];
  readonly fills: { readonly flights: number; readonly relays: number };
  readonly origins: readonly OriginFigures[];
  readonly replication?: ReplicationFigures;
  readonly scrub?: ScrubFigures;
  readonly cachestore?: CachestoreFigures;
  readonly notices: Readonly<Record<string, string>>;
  readonly errors: readonly ErrorFigures[];
  readonly hot_objects: readonly HotObject[];
  readonly history: FigureSeries;
}

export interface SourceFigures {
  readonly bytes: number;
  readonly requests: number;
}

export interface LatencyBucket {
  readonly bound_ms?: number;
  readonly count: number;
}

export interface TierFigures {
  readonly tier: string;
  readonly chunks: number;
  readonly used_bytes: number;
  readonly max_bytes?: number;
  readonly evictions: number;
}

export interface OriginFigures {
  readonly origin: string;
  readonly served_bytes: number;
  readonly origin_bytes: number;
  readonly requests: number;
  readonly requests_max: number;
  readonly requests_in_flight: number;
  readonly requests_waiting: number;
  readonly throttle_part: number;
  readonly price_per_gb: number;
}

export interface ReplicationFigures {
  readonly rounds: number;
  readonly running: boolean;
  readonly compared: number;
  readonly missing: number;
  readonly pulls_waiting: number;
  readonly pulls_running: number;
  readonly pulled: number;
  readonly pulled_bytes: number;
  readonly failed: number;
}

export interface ScrubFigures {
  readonly state: string;
  readonly checked_bytes: number;
  readonly total_bytes: number;
  readonly bad_chunks: number;
  readonly last_finished_ms?: number;
  readonly next_ms?: number;
}

export interface CachestoreFigures {
  readonly driver: string;
  readonly breaker: string;
  readonly hints: number;
  readonly hits: number;
  readonly misses: number;
  readonly bytes_read: number;
  readonly stored: number;
}

export interface ErrorFigures {
  readonly place: string;
  readonly code: string;
  readonly count: number;
  readonly last_hour: number;
  readonly last_ms: number;
}

export interface HotObject {
  readonly bucket: string;
  readonly key: string;
  readonly requests: number;
  readonly overcount: number;
  readonly bytes: number;
}

export interface FigureSeries {
  readonly start_ms: number;
  readonly slot_ms: number;
  readonly served_bytes: readonly number[];
  readonly origin_bytes: readonly number[];
  readonly requests: readonly number[];
}
