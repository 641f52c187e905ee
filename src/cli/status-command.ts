/**
 * `orca status`: what one replica knows of its cluster, for people, or as it told it. It asks the ops listener of a
 * replica that runs and needs neither its configuration nor its certificates.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { formatBytes, MiB } from "../base/units.ts";
import type { ClusterStatus } from "../ops/cluster-status.ts";
import type { TextOutput } from "./config-command.ts";
import { printable } from "./printable.ts";
import { statusReport } from "./status-report.ts";

export interface StatusOptions {
  /** Address of a replica's ops listener: `http://host:8442`, or without the scheme. */
  readonly ops: string;
  /** The document as it came, in place of tables. */
  readonly json: boolean;
  readonly clock: Clock;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  /** For the whole answer. */
  readonly timeoutMs?: number;
}

/** A view holds up to 1,024 members, each of some 300 bytes. */
const answerBytesMax = 4 * MiB;

/**
 * Resolves with the exit code: 1 where no replica answers, with what to check on stderr.
 * @throws OrcaError `invalid_argument` for an address that is none.
 */
export async function status({
  ops,
  json,
  clock,
  stdout,
  stderr,
  timeoutMs = 5000,
}: StatusOptions): Promise<number> {
  const url = statusUrl(ops);
  const deadline = new AbortController();
  const timer = clock.timer(timeoutMs, () => deadline.abort(new Error(`no answer within ${timeoutMs} ms`)));
  try {
    const text = await read(url, deadline.signal);
    const document = parse(text);
    stdout.write(json ? text : statusReport(document, url.host));
    return 0;
  } catch (thrown) {
    stderr.write(`Cannot get the status from ${url.href}: ${printable(reasonOf(thrown))}
Is a replica running there? Its address is server.ops_listen (port 8442 by default); give another one with --ops URL.
`);
    return 1;
  } finally {
    timer.cancel();
  }
}

function statusUrl(ops: string): URL {
  const text = ops.includes("://") ? ops : `http://${ops}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (!url || !isHttp || url.username !== "" || url.password !== "") {
    // Not quoted: it may hold a password.
    const expected = "expected the address of an ops listener such as http://127.0.0.1:8442, without a user";
    throw new OrcaError("invalid_argument", "config", `Cannot use what was given with --ops: ${expected}`);
  }
  url.pathname = `${url.pathname.replace(/\/$/, "")}/cluster`;
  url.search = "";
  url.hash = "";
  return url;
}

async function read(url: URL, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, redirect: "error" });
  const slices: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const slice of response.body ?? []) {
    lengthBytes += slice.length;
    if (lengthBytes > answerBytesMax)
      throw new Error(`it answers with more than ${formatBytes(answerBytesMax)}`);
    slices.push(slice);
  }
  if (response.status !== 200)
    throw new Error(`it answers ${response.status}, as an ops listener of Orca does not`);
  return Buffer.concat(slices).toString();
}

function parse(text: string): ClusterStatus {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    document = undefined;
  }
  if (!isStatus(document)) throw new Error("what it answers is no status of an Orca");
  return document;
}

/** Whether all that is printed is there. Fields of a later version do no harm. */
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

type Kinds = Readonly<Record<string, "string" | "number" | "boolean" | "object">>;

function has(value: unknown, kinds: Kinds): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  return Object.entries(kinds).every(([name, kind]) => typeof fields[name] === kind);
}

function hasEach(value: unknown, kinds: Kinds): boolean {
  return Array.isArray(value) && value.every((item) => has(item, kinds));
}

/** fetch says "fetch failed", and why in its cause; which for a name with several addresses is only a code. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause instanceof Error ? thrown.cause : thrown;
  if (cause.message !== "") return cause.message;
  return "code" in cause ? String(cause.code) : cause.name;
}
