/** What the engine and a thread that receives chunks from peers send each other. All of it is plain. */
import type { SecureContextOptions } from "node:tls";
import type { MessagePort } from "node:worker_threads";
import type { PeerReadEnd } from "../../fill/chunk-peers.ts";
import type { FillCall } from "../fill-chunk/fill-calls.ts";
import type { HandshakeFailureReason } from "../session/handshake-failures.ts";
import type { SentFault } from "./sent-fault.ts";

/** What a thread begins with. */
export interface ReceiverData {
  readonly port: MessagePort;
  /** Certificate, key and authority. Undefined for a mesh without TLS. */
  readonly tls: { readonly serverName: string; readonly files: SecureContextOptions } | undefined;
  /** `cluster.stall_timeout`. */
  readonly stallTimeoutMs: number;
  readonly pingIntervalMs: number;
}

/** A place of bytes: a part of a slab. */
export interface Place {
  readonly slab: SharedArrayBuffer;
  readonly offset: number;
  readonly lengthBytes: number;
}

export type ToReceiver =
  /** The places are in the order of the bytes, and have room for all of them. */
  | { readonly kind: "read"; readonly id: number; readonly call: FillCall; readonly places: readonly Place[] }
  | { readonly kind: "cancel"; readonly id: number }
  /** @see Peers.retryNow */
  | { readonly kind: "retryNow"; readonly address: string }
  /** @see Peers.drop */
  | { readonly kind: "drop"; readonly address: string }
  | { readonly kind: "certificate"; readonly files: SecureContextOptions };

export type FromReceiver =
  /** So many bytes of the read have arrived in all. */
  | { readonly kind: "arrived"; readonly id: number; readonly bytes: number }
  /** The thread does not write to the places any more. Without `end` or `fault` it was cancelled. */
  | {
      readonly kind: "ended";
      readonly id: number;
      readonly bytes: number;
      readonly end?: PeerReadEnd;
      readonly fault?: SentFault;
    }
  | { readonly kind: "connected"; readonly address: string }
  | {
      readonly kind: "notConnected";
      readonly address: string;
      readonly reason: HandshakeFailureReason;
      readonly message: string;
    };
