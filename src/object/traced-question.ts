/** A question to a peer, whose steps the log has while a request is traced. */
import { OrcaError } from "../base/orca-error.ts";
import type { Member } from "../membership/member.ts";
import type { Trace } from "../trace/trace.ts";
import type { ObjectName } from "./object-peers.ts";

export interface TracedQuestion extends ObjectName {
  readonly question: "metadata" | "part";
  readonly peer: Member;
  /** Undefined for a question that no request asks. */
  readonly requestId: string | undefined;
}

export async function traced<Answer>(
  trace: Trace | undefined,
  { originId, location, question, peer, requestId }: TracedQuestion,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  if (!trace?.isOn || requestId === undefined) return ask();
  const { bucket, key } = location;
  const fields = { originId, bucket, key, question, replica: peer.replicaId };
  trace.step("peer_attempt", requestId, fields);
  try {
    const answer = await ask();
    trace.step("peer_success", requestId, fields);
    return answer;
  } catch (thrown) {
    const code = thrown instanceof OrcaError ? thrown.code : "internal";
    trace.step("peer_refusal", requestId, { ...fields, code });
    throw thrown;
  }
}
