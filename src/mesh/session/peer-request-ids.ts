/**
 * The id of a client's request on its way between replicas: a header of each call that is made for it. A peer may be
 * faulty or hostile, and the id goes into the log and to the origin. So an id that is long, or has characters other than
 * printable ASCII, is replaced by a new one, as a missing one is (a tool such as `buf curl` sends none). The context of the
 * client's trace goes beside it, in W3C's own headers.
 */
import type { RequestIds } from "../../trace/request-id.ts";
import type { SentHeader } from "../../trace/trace-context.ts";
import { TraceContexts } from "../../trace/trace-contexts.ts";

export const requestIdHeader = "orca-request-id";

/** In the order in which {@link PeerRequestIds.of} takes them. */
export const traceHeaders = [requestIdHeader, "traceparent", "tracestate"] as const;

const requestIdCharactersMax = 64;

/** Without a space: an id is one word in the log and in a header. */
const usableId = /^[\x21-\x7e]+$/;

export class PeerRequestIds {
  /** Ids of peers that were not usable. */
  readonly stats = { replaced: 0 };
  readonly #ids: RequestIds;
  readonly #traceContexts: TraceContexts;

  constructor(ids: RequestIds, traceContexts = new TraceContexts()) {
    this.#ids = ids;
    this.#traceContexts = traceContexts;
  }

  /** The id in a request's headers, or a new one. A trace context that comes with it is known by it from now on. */
  of(header: SentHeader, traceparent?: SentHeader, tracestate?: SentHeader): string {
    const requestId = this.#idOf(header);
    this.#traceContexts.accept(requestId, traceparent, tracestate);
    return requestId;
  }

  #idOf(header: SentHeader): string {
    if (header === undefined || header === null) return this.#ids.next();
    if (typeof header === "string" && header.length <= requestIdCharactersMax && usableId.test(header))
      return header;
    this.stats.replaced += 1;
    return this.#ids.next();
  }
}

/** The headers for a call, or none. */
export function requestIdHeaders(
  requestId: string | undefined,
  traceContexts?: TraceContexts,
): Readonly<Record<string, string>> {
  if (requestId === undefined) return {};
  return { [requestIdHeader]: requestId, ...traceContexts?.headers(requestId) };
}
