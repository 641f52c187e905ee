/** The other end of a session to the mesh listener, as the handlers of its requests know it. */
import { type ContextKey, createContextKey } from "@connectrpc/connect";
import { CallTurns } from "./call-turns.ts";

export class Caller {
  readonly remoteAddress: string | undefined;
  /** The replicas for which its certificate was issued. Undefined if it names none, and without TLS. */
  readonly replicaIds: ReadonlySet<string> | undefined;
  /** Bytes of calls that it has sent since the session began. A gate charges for them. */
  sentBytes = 0;
  /** Bytes of its calls that are being received. */
  receivingBytes = 0;
  /** Bytes of answers that it has not taken yet. */
  answeringBytes = 0;
  readonly turns = new CallTurns();

  constructor(remoteAddress: string | undefined, replicaIds?: ReadonlySet<string>) {
    this.remoteAddress = remoteAddress;
    this.replicaIds = replicaIds;
  }
}

/** In the context of a call: who calls. */
export const callerKey: ContextKey<Caller | undefined> = createContextKey<Caller | undefined>(undefined);

/** In the context of a call: the bytes that its body may have. A gate may lower it before the body is read. */
export const bodyBytesMaxKey: ContextKey<number> = createContextKey<number>(Infinity);
