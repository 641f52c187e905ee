/** What a thread of the edge and the engine send each other. All of it is plain, as structured clones are. */
import type { ObjectVersionFields } from "../../chunk/object-version.ts";
import type { PeerRead, PeerSource } from "../../fill/chunk-peers.ts";
import type { ReadSource } from "../../fill/read-path.ts";
import type { AnswerLease } from "../../object/freshness/revocations.ts";
import type { ReadHeaders } from "../../object/object-lookups.ts";
import type { Staleness } from "../../object/object-record.ts";
import type {
  FirstBytes,
  ListRequest,
  ObjectHead,
  ObjectLocation,
  OriginKey,
  PartRequest,
  RightQuestion,
  SubResourceQuestion,
} from "../../origin/origin.ts";
import type { SampledElsewhere, StepFields } from "../../trace/spans/span.ts";
import type { TraceStep } from "../../trace/trace-steps.ts";
import type { Wait } from "../../trace/waits.ts";
import type { SentError } from "./sent-error.ts";

/** A version without what its own thread keeps with it. */
export function sentVersion(version: ObjectVersionFields): ObjectVersionFields {
  const { originId, bucket, objectKey, etag, sizeBytes, chunkSizeBytes, contentCoding, versionId } = version;
  return { originId, bucket, objectKey, etag, sizeBytes, chunkSizeBytes, contentCoding, versionId };
}

/** For which request the engine does something. */
export interface SentAsker {
  readonly requestId: string;
  readonly traceparent?: string;
  readonly tracestate?: string;
}

/** What the engine waited for on behalf of a request. */
export interface SentWaits {
  readonly ms: Readonly<Record<Wait, number>>;
  readonly retries: number;
  readonly coordinator: string | undefined;
}

/** The answer to a look-up. */
export interface SentAnswer {
  /** Of this answer, for as long as the engine keeps it. */
  readonly answerId: number;
  readonly lease: AnswerLease | undefined;
  /** The engine had the answer, and asked nobody. */
  readonly wasKept: boolean;
  /** Undefined where the thread has this answer. */
  readonly result:
    | {
        readonly version: ObjectVersionFields;
        /** @see ToEngine */
        readonly hash: string;
        readonly head: ObjectHead;
        readonly stale: Staleness | undefined;
      }
    | { readonly error: SentError }
    | undefined;
}

export interface ObjectQuestion {
  readonly what: "lookup" | "lookupRefreshed" | "revalidate";
  readonly originId: string;
  readonly location: ObjectLocation;
  /** The answer that the thread has; with `revalidate`, the one that a client contradicts. 0 for none. */
  readonly knownId: number;
  readonly knownEtag: string;
  readonly firstBytes: FirstBytes | undefined;
  /** The client wants to read: where memory lacks what it reads first, the engine begins that read with its answer. */
  readonly read: ReadHeaders | undefined;
}

export type Question =
  | ObjectQuestion
  | { readonly what: "part"; readonly originId: string; readonly request: PartRequest }
  | { readonly what: "list"; readonly originId: string; readonly request: ListRequest }
  | { readonly what: "subResource"; readonly originId: string; readonly question: SubResourceQuestion }
  | {
      readonly what: "right";
      readonly originId: string;
      /** Of the verdict. @see OriginVerdicts.leased */
      readonly name: string;
      readonly question: RightQuestion;
    }
  | { readonly what: "warm"; readonly version: ObjectVersionFields }
  /** The SHA-256 of a chunk, if the disk knows it. */
  | {
      readonly what: "digest";
      readonly version: ObjectVersionFields;
      readonly hash: string;
      readonly index: number;
    }
  | { readonly what: "findBucket"; readonly name: string }
  | { readonly what: "listOthers"; readonly as: OriginKey | undefined };

/** What decides whether a range of a chunk is read for another replica. Without a request id nobody traces it. */
export type SentPeerRead = Pick<PeerRead, "passedOver" | "cachedOnly" | "requestId">;

/** A line of the log. It goes the way of questions, so that the lines about one request keep their order. */
export interface SentLine {
  readonly level: "debug" | "info" | "warn" | "error" | "access";
  readonly fields: object;
  readonly message: string;
}

/** Of a request that is sampled for distributed tracing. */
export type FromSampled =
  | (SampledElsewhere & { readonly kind: "sampled"; readonly tracestate: string | undefined })
  | {
      readonly kind: "step";
      readonly step: TraceStep;
      readonly requestId: string;
      readonly fields: StepFields;
    }
  | { readonly kind: "responded"; readonly requestId: string; readonly fields: StepFields };

export type ToEngine =
  | {
      readonly kind: "ask";
      readonly id: number;
      readonly question: Question;
      readonly asker?: SentAsker | undefined;
    }
  | {
      readonly kind: "open";
      readonly id: number;
      readonly version: ObjectVersionFields;
      /** Of the version: to compute it again costs more than all the rest of this message. */
      readonly hash: string;
      readonly start: number;
      readonly end: number;
      readonly asker: SentAsker;
      /** Another replica reads a range of one chunk. */
      readonly forPeer: SentPeerRead | undefined;
    }
  /** The slice is with the kernel: the next one is wanted. */
  | { readonly kind: "next"; readonly id: number }
  | { readonly kind: "close"; readonly id: number }
  | FromSampled
  | (SentLine & { readonly kind: "line" })
  | {
      readonly kind: "forget";
      readonly originId: string;
      readonly location: ObjectLocation;
      readonly etag: string;
    };

export type ToThread =
  /** So many messages have arrived, and so many of them are lines of the log. */
  | { readonly kind: "taken"; readonly messages: number; readonly lines: number }
  | { readonly kind: "slab"; readonly slab: SharedArrayBuffer; readonly number: number }
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly value: unknown;
      /** The bytes that the engine has begun to read, under the id of the question. */
      readonly begun?: readonly [start: number, end: number] | undefined;
      readonly waits?: SentWaits | undefined;
    }
  | {
      readonly kind: "failure";
      readonly id: number;
      readonly error: SentError;
      readonly waits?: SentWaits | undefined;
    }
  /** A range is read for another replica. The slices follow. */
  | { readonly kind: "accepted"; readonly id: number; readonly source: PeerSource }
  | {
      readonly kind: "slice";
      readonly id: number;
      readonly slab: number;
      readonly offset: number;
      readonly lengthBytes: number;
      readonly source: ReadSource;
      readonly waits?: SentWaits | undefined;
    };
