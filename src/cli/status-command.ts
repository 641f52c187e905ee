/** `orca status`: what one replica knows of its cluster, for people, or as it told it. */
import type { ClusterStatus } from "../ops/endpoints/cluster-status.ts";
import { has, hasEach, type OpsCommandOptions, parseAnswer, readAnswer, withOps } from "./ops-call.ts";
import { statusReport } from "./status-report.ts";

export type StatusOptions = OpsCommandOptions;

/**
 * Resolves with the exit code: 1 where no replica answers, with what to check on stderr.
 * @throws OrcaError `invalid_argument` for an address that is none.
 */
export function status(options: StatusOptions): Promise<number> {
  const call = { path: "/cluster" };
  return withOps("get the status from", call, options, async (url, deadline) => {
    const text = await readAnswer(url, call, deadline);
    const document = parseAnswer(text, isStatus);
    options.stdout.write(options.json ? text : statusReport(document, url.host));
    return 0;
  });
}

/** Whether all that is printed is there. */
function isStatus(value: unknown): value is ClusterStatus {
  return (
    has(value, {
      replica_id: "string",
      address: "string",
      phase: "string",
      bytes: "object",
      fills: "object",
    }) &&
    hasEach(value["members"], {
      replica_id: "string",
      address: "string",
      zone: "string",
      state: "string",
      incarnation: "number",
      self: "boolean",
    }) &&
    hasEach(value["origin_share"], {
      origin: "string",
      requests_max: "number",
      requests_in_flight: "number",
      requests_waiting: "number",
    }) &&
    has(value["bytes"], {}) &&
    has(value["bytes"]["memory"], { used: "number", max: "number" }) &&
    (value["bytes"]["disk"] === null || has(value["bytes"]["disk"], { used: "number", max: "number" })) &&
    has(value["fills"], { flights: "number", relays: "number" }) &&
    (value["peers"] === null || has(value["peers"], { sessions_open: "number" }))
  );
}
