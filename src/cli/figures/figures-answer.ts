/** How commands ask a replica for the figures of its cluster (`/figures`), and check that the answer is one. */
import type { ClusterFiguresDocument } from "../../ops/figures/cluster-figures.ts";
import { type Deadline, has, hasEach, type OpsCall, parseAnswer, readAnswer } from "../ops-call.ts";

export const figuresCall: OpsCall = { path: "/figures" };

export interface FiguresAnswer {
  readonly text: string;
  readonly document: ClusterFiguresDocument;
}

/** @throws like {@link readAnswer}. */
export async function readFigures(url: URL, deadline: Deadline): Promise<FiguresAnswer> {
  const text = await readAnswer(url, figuresCall, deadline);
  return { text, document: parseAnswer(text, isFigures) };
}

function isFigures(value: unknown): value is ClusterFiguresDocument {
  return (
    has(value, { replica_id: "string", at_ms: "number" }) &&
    hasEach(value["members"], { replica_id: "string", state: "string", zone: "string", share: "number" }) &&
    Array.isArray(value["replicas"]) &&
    value["replicas"].every(isReplica) &&
    hasEach(value["unreachable"], { replica_id: "string", reason: "string" }) &&
    isTotals(value["totals"]) &&
    hasEach(value["errors"], { place: "string", code: "string", last_hour: "number", remedy: "string" }) &&
    hasEach(value["hot_objects"], {
      bucket: "string",
      key: "string",
      requests: "number",
      overcount: "number",
      bytes: "number",
    }) &&
    has(value["history"], { slot_ms: "number" }) &&
    ["served_bytes", "origin_bytes", "requests"].every((name) => isNumbers(value["history"], name))
  );
}

function isReplica(value: unknown): boolean {
  return (
    has(value, {
      replica_id: "string",
      version: "string",
      started_ms: "number",
      served_bytes: "number",
      origin_bytes: "number",
      fills: "object",
      notices: "object",
    }) &&
    hasEach(value["tiers"], { tier: "string", chunks: "number", used_bytes: "number" }) &&
    hasEach(value["origins"], {
      origin: "string",
      requests_in_flight: "number",
      requests_max: "number",
      requests_waiting: "number",
      throttle_part: "number",
    }) &&
    has(value["fills"], { flights: "number", relays: "number" })
  );
}

function isTotals(value: unknown): boolean {
  return (
    has(value, {
      served_bytes: "number",
      origin_bytes: "number",
      saved_bytes: "number",
      requests: "number",
    }) &&
    [value["hit_ratio_bytes"], value["hit_ratio_requests"]].every(isNumberOrNull) &&
    has(value["sources"], {}) &&
    Object.values(value["sources"]).every((source) => has(source, { bytes: "number", requests: "number" })) &&
    has(value["first_byte_ms"], {}) &&
    [value["first_byte_ms"]["p50"], value["first_byte_ms"]["p99"]].every(isNumberOrNull) &&
    (value["cost"] === null || has(value["cost"], { fetched: "number", saved: "number" }))
  );
}

function isNumberOrNull(value: unknown): boolean {
  return value === null || typeof value === "number";
}

function isNumbers(value: unknown, name: string): boolean {
  if (!has(value, {})) return false;
  const numbers = value[name];
  return Array.isArray(numbers) && numbers.every((each) => typeof each === "number");
}
