/**
 * How a command calls the ops listener of a running replica: with a deadline, a limit on the size of the answer, and a
 * message that says what to check when the call fails. The command needs neither the configuration of the replica nor
 * its certificates.
 */
import { readFileSync } from "node:fs";
import { Option } from "commander";
import type { Clock } from "../base/clock.ts";
import { OrcaError } from "../base/orca-error.ts";
import { formatBytes, KiB, MiB } from "../base/units.ts";
import type { TextOutput } from "./command-context.ts";
import type { OrcaCommand } from "./orca-command.ts";
import { printable } from "./table.ts";

/** The options of every command that calls a replica. */
export interface OpsFlags {
  /** Address of the ops listener of a replica: `http://host:8442`, or without the scheme. */
  readonly ops: string;
  /** File of the token that the listener wants (`server.ops_token_file`). */
  readonly opsTokenFile?: string;
  /** Print the answer as it is, in place of tables. */
  readonly json: boolean;
}

export interface OpsCommandOptions extends OpsFlags {
  readonly clock: Clock;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  /** The limit for the whole answer, or for each line of an answer that is read in lines. */
  readonly timeoutMs?: number;
}

/** Declares the options of {@link OpsFlags}, after those of the command itself. */
export function withOpsOptions(command: OrcaCommand): OrcaCommand {
  return command
    .option("--ops <URL>", "Call the replica whose ops listener is at URL", "http://127.0.0.1:8442")
    .addOption(
      new Option(
        "--ops-token-file <FILE>",
        "Send the token in FILE, as server.ops_token_file asks for [default: the file that ORCA_SERVER_OPS_TOKEN_FILE names]",
      ).env("ORCA_SERVER_OPS_TOKEN_FILE"),
    )
    .option("--json", "Print the answer of the replica, in JSON", false);
}

export interface OpsCall {
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** The name of the action that the replica shall run. */
  readonly action?: string;
  /** Of an action that takes more than a query. */
  readonly body?: Uint8Array<ArrayBuffer>;
}

/** The replica answered with an error, whose message is its own. */
class ReplicaError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

/** A view holds up to 1,024 members of about 300 bytes each. */
const answerBytesMaxDefault = 4 * MiB;
const lineBytesMax = 256 * KiB;
const timeoutMsDefault = 5000;

/** @throws OrcaError `invalid_argument` for an address that is not valid. */
function opsUrl(ops: string, { path, query = {} }: OpsCall): URL {
  const text = ops.includes("://") ? ops : `http://${ops}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (!url || !isHttp || url.username !== "" || url.password !== "") {
    // Not quoted: it may hold a password.
    const expected = "expected the address of an ops listener such as http://127.0.0.1:8442, without a user";
    throw new OrcaError("invalid_argument", "config", `Cannot use the value of --ops: ${expected}`);
  }
  url.pathname = url.pathname.replace(/\/$/, "") + path;
  url.search = new URLSearchParams(query).toString();
  url.hash = "";
  return url;
}

/**
 * Runs `ask` with the deadline of a command. Resolves with the exit code. When `ask` throws, that is 1, and stderr gets
 * the reason and what to check. `purpose` completes "Cannot …". @throws an OrcaError of `ask`, which is not about the replica.
 */
export async function withOps(
  purpose: string,
  call: OpsCall,
  options: OpsCommandOptions,
  ask: (url: URL, deadline: Deadline) => Promise<number>,
): Promise<number> {
  const url = opsUrl(options.ops, call);
  const token = tokenIn(options.opsTokenFile);
  const deadline = new Deadline(options.clock, options.timeoutMs ?? timeoutMsDefault, token);
  try {
    return await ask(url, deadline);
  } catch (thrown) {
    if (thrown instanceof OrcaError) throw thrown;
    const place = `${url.origin}${url.pathname}`;
    options.stderr.write(`Cannot ${purpose} ${place}: ${printable(reasonOf(thrown))}\n${adviceOn(thrown)}`);
    return 1;
  } finally {
    deadline.cancel();
  }
}

/** How the answer of a replica is checked and shown. */
export interface ShownAnswer<Document> {
  readonly isExpected: (value: unknown) => value is Document;
  /** For people. `host` is the address that was called. */
  readonly report: (document: Document, host: string) => string;
  /** Where the options give none. */
  readonly timeoutMs?: number;
  readonly answerBytesMax?: number;
}

/** Asks as {@link withOps} does, and prints the answer: as it is for `--json`, else the report. */
export function showAnswer<Document>(
  purpose: string,
  call: OpsCall,
  options: OpsCommandOptions,
  shown: ShownAnswer<Document>,
): Promise<number> {
  const timeoutMs = options.timeoutMs ?? shown.timeoutMs ?? timeoutMsDefault;
  return withOps(purpose, call, { ...options, timeoutMs }, async (url, deadline) => {
    const text = await readAnswer(url, call, deadline, shown.answerBytesMax);
    const document = parseAnswer(text, shown.isExpected);
    options.stdout.write(options.json ? text : shown.report(document, url.host));
    return 0;
  });
}

/** Aborts its signal after `timeoutMs` without an answer, or without the next part of one. */
export class Deadline {
  readonly #stop = new AbortController();
  readonly #timer: ReturnType<Clock["timer"]>;

  /** Sent with each request of the command. */
  readonly token: string | undefined;

  constructor(clock: Clock, timeoutMs: number, token?: string) {
    this.token = token;
    this.#timer = clock.timer(timeoutMs, () =>
      this.#stop.abort(new Error(`no answer within ${timeoutMs} ms`)),
    );
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Starts the time anew, because a part of the answer arrived. */
  refresh(): void {
    this.#timer.refresh();
  }

  cancel(): void {
    this.#timer.cancel();
  }

  /** Disconnects: the user does not want the answer any more. */
  abort(reason: Error): void {
    this.#stop.abort(reason);
  }
}

/** The whole answer. @throws ReplicaError; Error without an answer, or for one that is not of an Orca replica. */
export async function readAnswer(
  url: URL,
  call: OpsCall,
  deadline: Deadline,
  answerBytesMax = answerBytesMaxDefault,
): Promise<string> {
  const slices = await Array.fromAsync(readSlices(url, call, deadline, answerBytesMax));
  return Buffer.concat(slices).toString();
}

/** The bytes of an answer, as they arrive. @throws like {@link readAnswer}. */
async function* readSlices(
  url: URL,
  call: OpsCall,
  deadline: Deadline,
  answerBytesMax: number,
): AsyncGenerator<Uint8Array> {
  const response = await send(url, call, deadline);
  const failure: Uint8Array[] = [];
  let lengthBytes = 0;
  for await (const slice of response.body ?? []) {
    lengthBytes += slice.length;
    if (lengthBytes > answerBytesMax)
      throw new Error(`the answer is larger than ${formatBytes(answerBytesMax)}`);
    if (response.status === 200) yield slice;
    else failure.push(slice);
  }
  if (response.status !== 200) throw errorOf(response.status, Buffer.concat(failure).toString());
}

/** The lines of an answer, as they arrive. @throws like {@link readAnswer}. */
export async function* readLines(url: URL, call: OpsCall, deadline: Deadline): AsyncGenerator<string> {
  const response = await send(url, call, deadline);
  const decoder = new TextDecoder();
  let rest = "";
  for await (const slice of response.body ?? []) {
    deadline.refresh();
    const lines = (rest + decoder.decode(slice, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > lineBytesMax)
      throw new Error(`a line of the answer is longer than ${formatBytes(lineBytesMax)}`);
    if (response.status === 200) yield* lines;
    else rest = [...lines, rest].join("\n");
  }
  if (response.status !== 200) throw errorOf(response.status, rest);
}

/** @throws Error unless `isExpected`. Fields that a later version adds are ignored. */
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
  if (!isExpected(document)) throw new Error("the answer is not that of an Orca replica of this version");
  return document;
}

type Kinds = Readonly<Record<string, "string" | "number" | "boolean" | "object">>;

/** Whether `value` has these fields, of these kinds. */
export function has(value: unknown, kinds: Kinds): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  return Object.entries(kinds).every(([name, kind]) => typeof fields[name] === kind);
}

export function hasEach(value: unknown, kinds: Kinds): boolean {
  return Array.isArray(value) && value.every((item) => has(item, kinds));
}

function send(url: URL, { action, body }: OpsCall, { signal, token }: Deadline): Promise<Response> {
  const headers: Record<string, string> = {};
  if (token !== undefined) headers["authorization"] = `Bearer ${token}`;
  if (action === undefined) return fetch(url, { headers, signal, redirect: "error" });
  headers["x-orca-action"] = action;
  return fetch(url, { method: "POST", headers, signal, redirect: "error", ...(body && { body }) });
}

/** @throws OrcaError `invalid_argument` for a file that cannot be read or holds more than a token. */
function tokenIn(file: string | undefined): string | undefined {
  if (file === undefined || file === "") return undefined;
  const action = `Cannot use --ops-token-file "${file}"`;
  let token: string;
  try {
    token = readFileSync(file, "utf8").trim();
  } catch (thrown) {
    throw OrcaError.from(thrown, "invalid_argument", "config", action);
  }
  if (/^[\w.~+/=-]+$/.test(token)) return token;
  throw new OrcaError("invalid_argument", "config", `${action}: expected a file that holds one token`);
}

/** A replica gives the reason in JSON. A server that does not is no replica. */
function errorOf(status: number, text: string): Error {
  try {
    const document: unknown = JSON.parse(text);
    if (has(document, { error: "string" })) return new ReplicaError(String(document["error"]), status);
  } catch {
    // Not JSON.
  }
  return new Error(`the server there is not an ops listener of Orca: it answers with status ${status}`);
}

/** Errors of TLS about an authority that Node does not know. */
const unknownAuthority: ReadonlySet<unknown> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** A line that says what to do, or nothing where the reason does. */
function adviceOn(thrown: unknown): string {
  if (thrown instanceof ReplicaError) {
    if (thrown.status !== 401) return "";
    return "Give its file with --ops-token-file FILE, or in ORCA_SERVER_OPS_TOKEN_FILE.\n";
  }
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  if (cause instanceof Error && "code" in cause && unknownAuthority.has(cause.code)) {
    return "Name the file with the authority of its certificate in NODE_EXTRA_CA_CERTS.\n";
  }
  return "Is a replica running there? The setting server.ops_listen is its address (port 8442 by default), and with server.ops_tls it begins with https. Give another one with --ops URL.\n";
}

/** fetch says "fetch failed"; its cause has the reason, which for a name with several addresses is only a code. */
function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause instanceof Error ? thrown.cause : thrown;
  if (cause.message !== "") return cause.message;
  return "code" in cause ? String(cause.code) : cause.name;
}
