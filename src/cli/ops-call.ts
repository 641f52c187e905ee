/**
 * How a command asks the ops listener of a replica that runs: with a deadline and a bound on what comes back, and with a
 * message a person can do something about where nothing good does. Commands need neither the configuration of a replica
 * nor its certificates.
 */
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { formatBytes, MiB } from "../base/units.ts";
import type { TextOutput } from "./config-command.ts";
import { printable } from "./printable.ts";

/** What every such command is given. */
export interface OpsCommandOptions {
  /** Address of a replica's ops listener: `http://host:8442`, or without the scheme. */
  readonly ops: string;
  /** The document as it came, in place of tables. */
  readonly json: boolean;
  readonly clock: Clock;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  /** For the whole answer; of an answer that comes in lines, for each. */
  readonly timeoutMs?: number;
}

export interface OpsCall {
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Asks the replica to do something, by the name of it. */
  readonly action?: string;
}

/** The replica answers, and says why it does not do what was asked. */
class OpsRefusal extends Error {}

/** A view holds up to 1,024 members, each of some 300 bytes. */
const answerBytesMaxDefault = 4 * MiB;
const lineBytesMax = 64 * 1024;

/** @throws OrcaError `invalid_argument` for an address that is none. */
function opsUrl(ops: string, { path, query = {} }: OpsCall): URL {
  const text = ops.includes("://") ? ops : `http://${ops}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (!url || !isHttp || url.username !== "" || url.password !== "") {
    // Not quoted: it may hold a password.
    const expected = "expected the address of an ops listener such as http://127.0.0.1:8442, without a user";
    throw new OrcaError("invalid_argument", "config", `Cannot use what was given with --ops: ${expected}`);
  }
  url.pathname = url.pathname.replace(/\/$/, "") + path;
  url.search = new URLSearchParams(query).toString();
  url.hash = "";
  return url;
}

/**
 * Runs `ask` with the deadline of a command. Resolves with the exit code: 1 where it throws, with the reason and what
 * to check on stderr. `purpose` completes "Cannot …".
 */
export async function withOps(
  purpose: string,
  call: OpsCall,
  options: OpsCommandOptions,
  ask: (url: URL, deadline: Deadline) => Promise<number>,
): Promise<number> {
  const url = opsUrl(options.ops, call);
  const deadline = new Deadline(options.clock, options.timeoutMs ?? 5000);
  try {
    return await ask(url, deadline);
  } catch (thrown) {
    const advice =
      thrown instanceof OpsRefusal
        ? ""
        : "Is a replica running there? Its address is server.ops_listen (port 8442 by default); give another one with --ops URL.\n";
    const place = `${url.origin}${url.pathname}`;
    options.stderr.write(`Cannot ${purpose} ${place}: ${printable(reasonOf(thrown))}\n${advice}`);
    return 1;
  } finally {
    deadline.cancel();
  }
}

/** Aborts its signal when nothing was heard for so long. */
export class Deadline {
  readonly #stop = new AbortController();
  readonly #timer: ReturnType<Clock["timer"]>;

  constructor(clock: Clock, timeoutMs: number) {
    this.#timer = clock.timer(timeoutMs, () =>
      this.#stop.abort(new Error(`no answer within ${timeoutMs} ms`)),
    );
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Something was heard. */
  refresh(): void {
    this.#timer.refresh();
  }

  cancel(): void {
    this.#timer.cancel();
  }
}

/** The whole answer. @throws OpsRefusal; Error where there is none, or none of an Orca. */
export async function readAnswer(
  url: URL,
  call: OpsCall,
  deadline: Deadline,
  answerBytesMax = answerBytesMaxDefault,
): Promise<string> {
  const response = await send(url, call, deadline);
  const slices: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const slice of response.body ?? []) {
    lengthBytes += slice.length;
    if (lengthBytes > answerBytesMax)
      throw new Error(`it answers with more than ${formatBytes(answerBytesMax)}`);
    slices.push(slice);
  }
  const text = Buffer.concat(slices).toString();
  if (response.status !== 200) throw refusalOf(response.status, text);
  return text;
}

/** The lines of an answer, as they come. @throws as {@link readAnswer}. */
export async function* readLines(url: URL, call: OpsCall, deadline: Deadline): AsyncGenerator<string> {
  const response = await send(url, call, deadline);
  const decoder = new TextDecoder();
  let rest = "";
  for await (const slice of response.body ?? []) {
    deadline.refresh();
    const lines = (rest + decoder.decode(slice, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > lineBytesMax) throw new Error("it answers with a line that does not end");
    if (response.status === 200) yield* lines;
    else rest = [...lines, rest].join("\n");
  }
  if (response.status !== 200) throw refusalOf(response.status, rest);
}

/** @throws Error where `isExpected` does not hold. Fields of a later version do no harm. */
export function parseAnswer<Document>(
  text: string,
  isExpected: (value: unknown) => value is Document,
): Document {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    document = undefined;
  }
  if (!isExpected(document)) throw new Error("what it answers is not what an Orca of this version says");
  return document;
}

type Kinds = Readonly<Record<string, "string" | "number" | "boolean" | "object">>;

/** Whether the fields that are used are there, and of their kind. */
export function has(value: unknown, kinds: Kinds): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  return Object.entries(kinds).every(([name, kind]) => typeof fields[name] === kind);
}

export function hasEach(value: unknown, kinds: Kinds): boolean {
  return Array.isArray(value) && value.every((item) => has(item, kinds));
}

function send(url: URL, { action }: OpsCall, { signal }: Deadline): Promise<Response> {
  if (action === undefined) return fetch(url, { signal, redirect: "error" });
  return fetch(url, { method: "POST", headers: { "x-orca-action": action }, signal, redirect: "error" });
}

/** An Orca says in JSON why it refuses; anything else that answers is something else. */
function refusalOf(status: number, text: string): Error {
  try {
    const document: unknown = JSON.parse(text);
    if (has(document, { error: "string" })) return new OpsRefusal(String(document["error"]));
  } catch {
    // Not JSON.
  }
  return new Error(`it answers ${status}, as an ops listener of Orca does not`);
}

/** fetch says "fetch failed", and why in its cause; which for a name with several addresses is only a code. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause instanceof Error ? thrown.cause : thrown;
  if (cause.message !== "") return cause.message;
  return "code" in cause ? String(cause.code) : cause.name;
}
