/** `orca status`: what one replica knows of its cluster. */
import type { CommandContext } from "./command-context.ts";
import {
  has,
  hasEach,
  type OpsCommandOptions,
  type OpsFlags,
  showAnswer,
  withOpsOptions,
} from "./ops-call.ts";
import { OrcaCommand } from "./orca-command.ts";
import { type StatusAnswer, statusReport } from "./status-report.ts";

export function statusCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  return withOpsOptions(new OrcaCommand("status", "Show the cluster as one replica sees it"))
    .details(
      "Shows the members, and the replica's own share of each origin, its bytes, its fills in progress, how busy its threads are, and what /readyz notices.",
    )
    .withExamples("orca status", "orca status --ops http://cache-2.example.com:8442", "orca status --json")
    .runs((flags: OpsFlags) => status({ ...flags, clock, stdout, stderr }));
}

/**
 * Resolves with the exit code: 1 if no replica answers.
 * @throws OrcaError `invalid_argument` for an address that is not valid.
 */
export function status(options: OpsCommandOptions): Promise<number> {
  const shown = { isExpected: isStatus, report: statusReport };
  return showAnswer("get the status from", { path: "/cluster" }, options, shown);
}

/** Whether `value` has the fields that are printed. */
function isStatus(value: unknown): value is StatusAnswer {
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
    (value["peers"] === null || has(value["peers"], { sessions_open: "number" })) &&
    (value["threads"] === undefined || hasEach(value["threads"], { thread: "string", busy: "number" })) &&
    (value["notices"] === undefined || areTexts(value["notices"]))
  );
}

function areTexts(value: unknown): boolean {
  return has(value, {}) && Object.values(value).every((text) => typeof text === "string");
}
