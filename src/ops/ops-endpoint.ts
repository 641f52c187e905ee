/**
 * What can be asked of the ops listener beyond probes and metrics: a question with one answer, or work that tells how it
 * goes on. An endpoint knows nothing of sockets; whether an action may be asked for at all is decided before it is asked.
 */

export interface OpsRequest {
  readonly method: "GET" | "POST";
  readonly query: URLSearchParams;
  /** Aborts when whoever asked has gone. */
  readonly signal: AbortSignal;
}

export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** One JSON document a line, as they come. */
export interface Lines {
  readonly documents: AsyncIterable<unknown>;
}

export interface OpsEndpoint {
  /** For `/`, after the path. */
  readonly help: string;
  /** What a POST must name in `x-orca-action`; without it, the endpoint only answers questions. */
  readonly action?: string;
  /** An action without a GET has no answer but what it does. */
  readonly methods: readonly OpsRequest["method"][];
  /** @throws OrcaError, whose message and status are the answer. */
  answer(request: OpsRequest): Promise<Page | Lines>;
}

export function textPage(status: number, body: string): Page {
  return { status, contentType: "text/plain; charset=utf-8", body };
}

export function jsonPage(status: number, value: unknown): Page {
  return { status, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
}

/** Why there is no other answer, for people. */
export function errorPage(status: number, error: string): Page {
  return jsonPage(status, { error });
}
