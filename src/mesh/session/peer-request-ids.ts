/**
 * The id of a client's request on its way between replicas: a header of each call that is made for it. A peer may be
 * faulty or hostile, and the id goes into the log and to the origin. So an id that is long, or has characters other than
 * printable ASCII, is replaced by a new one, as a missing one is (a tool such as `buf curl` sends none).
 */
import type { RequestIds } from "../../trace/request-id.ts";

export const requestIdHeader = "orca-request-id";

const requestIdCharactersMax = 64;

/** Without a space: an id is one word in the log and in a header. */
const usableId = /^[\x21-\x7e]+$/;

export class PeerRequestIds {
  /** Ids of peers that were not usable. */
  readonly stats = { replaced: 0 };
  readonly #ids: RequestIds;

  constructor(ids: RequestIds) {
    this.#ids = ids;
  }

  /** The id in a request's header, or a new one. */
  of(header: string | readonly string[] | null | undefined): string {
    if (header === undefined || header === null) return this.#ids.next();
    if (typeof header === "string" && header.length <= requestIdCharactersMax && usableId.test(header))
      return header;
    this.stats.replaced += 1;
    return this.#ids.next();
  }
}

/** The header for a call, or none. */
export function requestIdHeaders(requestId: string | undefined): Readonly<Record<string, string>> {
  return requestId === undefined ? {} : { [requestIdHeader]: requestId };
}
