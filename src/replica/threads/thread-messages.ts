/** What the main thread and a thread of the edge say to each other besides questions (src/edge/threads/question.ts). */

import type { AddressInfo } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { MessagePort } from "node:worker_threads";
import type { Config } from "../../config/config.ts";
import type { EdgeCounts } from "../../edge/threads/edge-counts.ts";
import type { SentError } from "../../edge/threads/sent-error.ts";
import type { PeerStats } from "../../mesh/session/peer-session.ts";
import type { ReceiverData } from "../../mesh/threads/receiver-messages.ts";
import type { RevocationMemory } from "../../object/freshness/revocations.ts";
import type { IndexMemory } from "../../store/shared-index/pin-protocol.ts";
import type { AccessMaterial } from "../access/access-files.ts";
import type { AccessCounts } from "../access/replica-access.ts";
import type { BucketPlaces } from "../replica-buckets.ts";
import type { BytesPortCounts } from "./bytes-port.ts";

/** What a thread begins with. */
export interface ThreadData {
  /** Without secrets, and as a structured clone. */
  readonly config: Omit<Config, "secrets">;
  readonly replicaId: string;
  readonly places: BucketPlaces;
  readonly link: MessagePort;
  readonly index: IndexMemory;
  readonly revocations: RevocationMemory;
  readonly limits: Int32Array<SharedArrayBuffer>;
  /** @see ThreadBodiesOptions.pinnedSlabsMax */
  readonly pinnedSlabsMax: number;
  readonly leasedBytesMax: number;
  /** Undefined where clients do not authenticate. */
  readonly access: AccessMaterial | undefined;
  /** Certificate and key. Undefined without TLS. */
  readonly certificate: SecureContextOptions | undefined;
  /** Of the mesh. Undefined without a port for chunk bytes. */
  readonly meshCertificate: SecureContextOptions | undefined;
  readonly isDebug: boolean;
  /** For the chunks that it receives from peers. Undefined in a cluster of one, and in a rehearsal. */
  readonly receiver: ReceiverData | undefined;
  /** @see S3ListenerOptions.hasLane */
  readonly hasLane: boolean | undefined;
}

/** Counters are what came since the last time, gauges are as they are. */
export interface ThreadCounts {
  readonly edge: EdgeCounts;
  readonly memoryHits: number;
  readonly memoryBytes: number;
  /** By the id of the origin. */
  readonly lookups: Readonly<Record<string, { readonly hits: number; readonly negativeHits: number }>>;
  /** Undefined where clients do not authenticate. */
  readonly access: AccessCounts | undefined;
  readonly acceptErrors: number;
  readonly pipelinesCut: number;
  /** Of its sessions to peers. `sessionsOpen` may have become fewer. */
  readonly peers: PeerStats | undefined;
  /** Lines that the log of the thread has dropped. */
  readonly linesDropped: number;
  /** Undefined where the thread sends no chunks to other replicas. */
  readonly bytesPort: BytesPortCounts | undefined;
  readonly gauges: ThreadGauges;
}

export interface ThreadGauges {
  readonly connections: number;
  readonly requestsInFlight: number;
  readonly requestsPipelined: number;
  /** @see EventLoopLag.notice */
  readonly lag: string | null;
  /** @see BytesPort.notice */
  readonly bytesPort: string | null;
}

export type ToEdgeThread =
  /** With what a thread begins with of its rehearsal. */
  | { readonly kind: "rehearse"; readonly data: ThreadData }
  | { readonly kind: "endRehearsal" }
  | { readonly kind: "listen"; readonly host: string; readonly port: number }
  /** For other replicas, which read chunks there. */
  | { readonly kind: "listenForPeers"; readonly host: string; readonly port: number }
  | { readonly kind: "drainPeers"; readonly timeoutMs: number }
  | { readonly kind: "announceStop" }
  | { readonly kind: "drain"; readonly timeoutMs: number }
  | { readonly kind: "collect" }
  | { readonly kind: "access"; readonly material: AccessMaterial }
  | { readonly kind: "certificate"; readonly certificate: SecureContextOptions }
  | { readonly kind: "meshCertificate"; readonly certificate: SecureContextOptions }
  | { readonly kind: "debug"; readonly isDebug: boolean };

export type FromEdgeThread =
  /** Answers `rehearse`: the port on loopback where the thread serves for its rehearsal, or why there is none. */
  | { readonly kind: "rehearsing"; readonly port: number; readonly fault?: string }
  /** Answers `endRehearsal`. */
  | { readonly kind: "rehearsed" }
  | { readonly kind: "listening"; readonly address: AddressInfo }
  | { readonly kind: "failed"; readonly error: SentError }
  | { readonly kind: "died"; readonly error: SentError }
  | { readonly kind: "drained"; readonly cut: number }
  /** Answers `listenForPeers`. */
  | { readonly kind: "listeningForPeers"; readonly error: SentError | undefined }
  /** Answers `drainPeers`: sessions that were cut. */
  | { readonly kind: "peersDrained"; readonly cut: number }
  /** Once a second. */
  | { readonly kind: "counts"; readonly counts: ThreadCounts }
  /** Answers `collect`. */
  | { readonly kind: "collected"; readonly counts: ThreadCounts };
