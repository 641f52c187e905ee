/** The calls of `orca warm` to a replica, and the check that an answer is that of one. */
import type { WarmDocument } from "../../ops/warm/warm-document.ts";
import { has, hasEach, type OpsCall } from "../ops-call.ts";

const path = "/cache/warm";

export function warmCall(
  query: Readonly<Record<string, string>>,
  body: Uint8Array<ArrayBuffer> | undefined,
): OpsCall {
  return { path, action: "warm", query, ...(body && { body }) };
}

export function followCall(runId: string): OpsCall {
  return { path, query: { run: runId } };
}

export function cancelCall(runId: string): OpsCall {
  return { path, action: "warm", query: { cancel: runId } };
}

/** Fields that replicas of earlier versions leave out are not asked for. */
export function isWarm(value: unknown): value is WarmDocument {
  const count = { chunks: "number", bytes: "number" } as const;
  return (
    has(value, {
      id: "string",
      source: "string",
      state: "string",
      dry_run: "boolean",
      objects: "number",
      bytes: "number",
      pass_bytes: "number",
      pass_total_bytes: "number",
    }) &&
    ["held", "filled", "verified", "missing", "unpinned"].every((name) => has(value[name], count)) &&
    hasEach(value["missing_chunks"], { url: "string", reason: "string" }) &&
    (value["reason"] === null || typeof value["reason"] === "string")
  );
}
