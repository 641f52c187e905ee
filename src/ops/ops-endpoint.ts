/**
 * One thing that the ops listener answers: a method, a path, and a function. A GET answers a question. A POST is an action:
 * it changes something, and action-guard.ts decides who may run it. Endpoints know nothing of sockets.
 */

export interface OpsRequest {
  readonly query: URLSearchParams;
  /** The header Accept. */
  readonly accept?: string | undefined;
  /** Aborts when the client disconnects. */
  readonly signal: AbortSignal;
  /** Reads the body. @throws OrcaError `invalid_argument` where it has more bytes than that. */
  readonly body?: (bytesMax: number) => Promise<Buffer>;
}

export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** Besides those that every answer has. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** One JSON document per line, sent as they are made. */
export interface Lines {
  readonly documents: AsyncIterable<unknown>;
}

interface Answering {
  readonly path: string;
  /** One line for the index page. */
  readonly help: string;
  /** @throws OrcaError; its message and status are the answer. */
  answer(request: OpsRequest): Promise<Page | Lines>;
}

export interface OpsQuestion extends Answering {
  readonly method: "GET";
  /** It tells nothing of this replica, and never needs a token. */
  readonly isPublic?: boolean;
}

export interface OpsAction extends Answering {
  readonly method: "POST";
  /** The client must name it in the header `x-orca-action`. */
  readonly action: string;
}

export type OpsEndpoint = OpsQuestion | OpsAction;

export function textPage(status: number, body: string): Page {
  return { status, contentType: "text/plain; charset=utf-8", body };
}

export function jsonPage(status: number, value: unknown): Page {
  return { status, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
}

/** Tells people why there is no other answer. */
export function errorPage(status: number, error: string): Page {
  return jsonPage(status, { error });
}
