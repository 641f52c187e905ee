/** `orca pins`: shows what a replica keeps from being evicted, and until when. */
import { formatBytes } from "../../base/units.ts";
import type { PinsDocument } from "../../ops/pins/pins-endpoint.ts";
import type { CommandContext } from "../command-context.ts";
import {
  has,
  hasEach,
  type OpsCommandOptions,
  type OpsFlags,
  parseAnswer,
  readAnswer,
  withOps,
  withOpsOptions,
} from "../ops-call.ts";
import { OrcaCommand } from "../orca-command.ts";
import { counted, formatTable, printable } from "../table.ts";

export function pinsCommand({ clock, stdout, stderr }: CommandContext): OrcaCommand {
  const command = new OrcaCommand(
    "pins",
    "Show what a replica keeps from being evicted, and until when",
  ).details(
    "Each replica pins the chunks on its own disk: of an object, it shows those. orca warm --pin makes pins.",
  );
  return withOpsOptions(command)
    .withExamples("orca pins", "orca pins --ops http://cache-2.example.com:8442 --json")
    .runs((flags: OpsFlags) => pins({ ...flags, clock, stdout, stderr }));
}

const answerTimeoutMs = 10_000;

/** Resolves with the exit code. */
export function pins(options: OpsCommandOptions): Promise<number> {
  const { json, stdout } = options;
  const call = { path: "/cache/pins" };
  const timeoutMs = options.timeoutMs ?? answerTimeoutMs;
  return withOps("show the pins at", call, { ...options, timeoutMs }, async (url, deadline) => {
    const text = await readAnswer(url, call, deadline);
    const document = parseAnswer(text, isPins);
    stdout.write(json ? `${text.trim()}\n` : pinsReport(document));
    return 0;
  });
}

function pinsReport({ replica_id: id, ...document }: PinsDocument): string {
  const { chunks, bytes, max_bytes: maxBytes, objects, objects_left_off: more } = document;
  const title = `Replica ${printable(id)} pins ${counted(chunks, "chunk")}, ${formatBytes(bytes)} of at most ${formatBytes(maxBytes)}\n`;
  if (objects.length === 0) return title;
  const rows = objects.map(({ url, chunks: count, bytes: size, until }) => [
    printable(url),
    count,
    formatBytes(size),
    printable(until),
  ]);
  const rest = more > 0 ? `and ${counted(more, "more object")}\n` : "";
  return `${title}\n${formatTable(["object", "chunks", "bytes", "until"], rows)}\n${rest}`;
}

function isPins(value: unknown): value is PinsDocument {
  return (
    has(value, {
      replica_id: "string",
      chunks: "number",
      bytes: "number",
      max_bytes: "number",
      objects_left_off: "number",
    }) && hasEach(value["objects"], { url: "string", chunks: "number", bytes: "number", until: "string" })
  );
}
