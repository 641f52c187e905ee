/**
 * The port for chunk bytes, beside the mesh port. A replica whose threads serve peers there offers it to each session at its
 * mesh port, as HTTP offers an alternative service (RFC 7838): a frame names another port of the same host. A replica of
 * an earlier version ignores that frame, and one that cannot reach the port stays at the mesh port. So the port is no part
 * of what members tell about each other, and never out of date.
 */
import type { ServerHttp2Session } from "node:http2";

/** The frame must name a service, as a URL. Peers do not look at it, and a certificate identity need not be a host of a URL. */
const service = "https://orca.internal";

export function offerBytesPort(session: ServerHttp2Session, port: number): void {
  session.altsvc(`h2=":${port}"`, service);
}

/** The port that an offer names. Undefined for an offer of anything else. */
export function offeredPort(offer: string): number | undefined {
  const digits = /^h2=":([1-9]\d{0,4})"$/.exec(offer)?.[1];
  const port = Number(digits);
  return port <= 65_535 ? port : undefined;
}
