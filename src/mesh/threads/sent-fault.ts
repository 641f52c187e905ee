/**
 * Why a FillChunk call failed, as it goes from thread to thread: a structured clone would keep neither classes nor fields.
 * The errors that a client of chunks tells apart arrive as what they were, any other as its text.
 */
import { type Code, ConnectError } from "@connectrpc/connect";
import { Unreachable } from "../fill-chunk/fill-calls.ts";
import { FillStreamFault, type FillStreamFaultKind } from "../fill-chunk/fill-stream-fault.ts";

interface SentConnectError {
  readonly code: Code;
  readonly rawMessage: string;
  /** As they came from the peer. Those that a thread made itself have none. */
  readonly details: readonly { readonly type: string; readonly value: Uint8Array }[];
}

export type SentFault =
  | { readonly what: "unreachable"; readonly error: SentConnectError }
  | { readonly what: "peer"; readonly error: SentConnectError }
  | { readonly what: "stream"; readonly kind: FillStreamFaultKind; readonly reason: string }
  | { readonly what: "other"; readonly text: string };

export function sentFault(thrown: unknown): SentFault {
  if (thrown instanceof FillStreamFault) return { what: "stream", kind: thrown.kind, reason: thrown.reason };
  if (thrown instanceof Unreachable && thrown.cause instanceof ConnectError)
    return { what: "unreachable", error: sentConnectError(thrown.cause) };
  if (thrown instanceof ConnectError) return { what: "peer", error: sentConnectError(thrown) };
  return { what: "other", text: thrown instanceof Error ? thrown.message : String(thrown) };
}

export function receivedFault(fault: SentFault): Error {
  switch (fault.what) {
    case "unreachable":
      return new Unreachable(receivedConnectError(fault.error));
    case "peer":
      return receivedConnectError(fault.error);
    case "stream":
      return new FillStreamFault(fault.kind, fault.reason);
    case "other":
      return new Error(fault.text);
  }
}

function sentConnectError({ code, rawMessage, details }: ConnectError): SentConnectError {
  const sent: { type: string; value: Uint8Array }[] = [];
  // A copy, because a clone of a part of a buffer clones all of it.
  for (const detail of details)
    if ("type" in detail) sent.push({ type: detail.type, value: Uint8Array.from(detail.value) });
  return { code, rawMessage, details: sent };
}

function receivedConnectError({ code, rawMessage, details }: SentConnectError): ConnectError {
  const error = new ConnectError(rawMessage, code);
  error.details = [...details];
  return error;
}
