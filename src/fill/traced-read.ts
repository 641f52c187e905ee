/** Reads from a peer, on behalf of a request whose id goes along, and logs the attempt and its end. */
import type { PlacedSink } from "../base/byte-sink.ts";
import { OrcaError } from "../base/orca-error.ts";
import type { Member } from "../membership/member.ts";
import type { FetchTrace } from "../trace/fetch-trace.ts";
import type { ChunkPeers, PeerRead, PeerReadEnd } from "./chunk-peers.ts";

/** A read from a peer for a flight. */
export interface FlightRead {
  readonly peers: ChunkPeers;
  readonly peer: Member;
  readonly request: PeerRead;
  /** Of the flight. */
  readonly trace: FetchTrace | undefined;
}

/** @see ChunkPeers.read */
export async function tracedRead(
  { peers, peer, request, trace }: FlightRead,
  sink: PlacedSink,
  signal: AbortSignal,
): Promise<PeerReadEnd> {
  if (!trace) return peers.read(peer, request, sink, signal);
  const { replicaId } = peer;
  trace.replica = replicaId;
  trace.asked();
  const fields = { question: "chunk", replica: replicaId, offset: request.offset };
  if (trace.isOn) trace.step("peer_attempt", fields);
  try {
    const end = await peers.read(peer, { ...request, requestId: trace.requestId }, sink, signal);
    if (trace.isOn) trace.step("peer_success", fields);
    return end;
  } catch (thrown) {
    const code = thrown instanceof OrcaError ? thrown.code : signal.aborted ? "abandoned" : "internal";
    if (trace.isOn) trace.step("peer_refusal", { ...fields, code });
    throw thrown;
  }
}
