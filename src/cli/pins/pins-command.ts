/** `orca pins`: shows what a replica, or with `--cluster` all of them, keep from being evicted, and until when. */
import { MiB } from "../../base/units.ts";
import type { ClusterPinsDocument } from "../../ops/pins/cluster-pins.ts";
import type { PinsDocument } from "../../ops/pins/pins-endpoint.ts";
import type { CommandContext } from "../command-context.ts";
import {
  has,
  hasEach,
  type OpsCommandOptions,
  type OpsFlags,
  parseAnswer,
  readAnswer,
  showAnswer,
  withOps,
  withOpsOptions,
} from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { clusterPinsReport, pinsReport, unreachableReport } from "./pins-report.ts";

interface PinsFlags extends OpsFlags {
  readonly cluster: boolean;
}

export function pinsCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand("pins", "Show what a replica keeps from being evicted, and until when")
    .details(
      "Each replica pins the chunks on its own disk: of an object, it shows those. With --cluster, the exit code is 1 if a " +
        "replica did not answer. orca warm --pin makes pins.",
    )
    .option(
      "--cluster",
      "Show the pins of all replicas, and how much of each object each of them holds",
      false,
    );
  return withOpsOptions(command)
    .withExamples(
      "orca pins",
      "orca pins --cluster",
      "orca pins --ops http://cache-2.example.com:8442 --json",
    )
    .runs(({ cluster, ...flags }: PinsFlags) =>
      (cluster ? clusterPins : pins)({ ...flags, clock, stdout, stderr }),
    );
}

const answerTimeoutMs = 10_000;
/** 1,000 URLs, and 16,000 counts by replica. */
const answerBytesMax = 8 * MiB;

/** Resolves with the exit code. */
export function pins(options: OpsCommandOptions): Promise<number> {
  const shown = { isExpected: isPins, report: pinsReport, timeoutMs: answerTimeoutMs };
  return showAnswer("show the pins at", { path: "/cache/pins" }, options, shown);
}

/** Resolves with the exit code: 0 if every live replica has answered. */
export function clusterPins(options: OpsCommandOptions): Promise<number> {
  const { json, stdout, stderr } = options;
  const call = { path: "/cache/pins", query: { cluster: "true" } };
  const timeoutMs = options.timeoutMs ?? answerTimeoutMs;
  return withOps("show the pins at", call, { ...options, timeoutMs }, async (url, deadline) => {
    const text = await readAnswer(url, call, deadline, answerBytesMax);
    const document = parseAnswer(text, isClusterPins);
    stdout.write(json ? text : clusterPinsReport(document));
    if (document.unreachable.length === 0) return 0;
    stderr.write(unreachableReport(document));
    return 1;
  });
}

const counts = {
  chunks: "number",
  max_chunks: "number",
  bytes: "number",
  max_bytes: "number",
  objects_left_off: "number",
} as const;
const pinned = { url: "string", chunks: "number", bytes: "number", until: "string" } as const;

function isPins(value: unknown): value is PinsDocument {
  return has(value, { replica_id: "string", ...counts }) && hasEach(value["objects"], pinned);
}

function isClusterPins(value: unknown): value is ClusterPinsDocument {
  return (
    has(value, { replica_id: "string", ...counts }) &&
    hasEach(value["replicas"], { replica_id: "string", ...counts }) &&
    hasEach(value["unreachable"], { replica_id: "string", reason: "string" }) &&
    Array.isArray(value["objects"]) &&
    value["objects"].every(
      (object) =>
        has(object, pinned) &&
        hasEach(object["replicas"], { replica_id: "string", chunks: "number", bytes: "number" }),
    )
  );
}
