/**
 * Decides who may run an action on the ops listener, which has no authentication. An action costs latency and never data,
 * but a stranger who clears the cache every minute would defeat it. So by default only this host may run actions.
 *
 * A browser on this host is a stranger too: a web page could send its request through it. Two checks prevent that. A page
 * of another site cannot set `x-orca-action` without a CORS preflight, which is never allowed. And a request with `Origin`,
 * which only browsers send, is denied unless it is the console's. That is one with the token of the operators, which the
 * console sends in a header and no browser sends by itself, and from a page of this listener. So a page that makes its own
 * name point to this host (DNS rebinding) is of the same site, and fails for want of the token.
 */
import type { IncomingMessage } from "node:http";

/** `server.ops_actions`: who may run actions. */
export type OpsActions = "local" | "all" | "none";

/** Why `action` is denied; undefined if it may run. `hasToken`: the request had the token of `server.ops_token_file`. */
export function actionDenial(
  {
    headers,
    socket,
  }: Pick<IncomingMessage, "headers"> & { readonly socket: { readonly remoteAddress?: string | undefined } },
  action: string,
  allowed: OpsActions,
  hasToken: boolean,
): string | undefined {
  if (allowed === "none") return "actions are switched off by server.ops_actions";
  if (headers.origin !== undefined && !hasToken)
    return "actions are not allowed from a browser without a token; set server.ops_token_file";
  if (headers.origin !== undefined && !isOwnPage(headers))
    return "actions are not allowed from a page of another site";
  if (headers["x-orca-action"] !== action) return `an action needs the header "x-orca-action: ${action}"`;
  if (allowed === "local" && !isLoopback(socket.remoteAddress)) {
    return "actions are allowed from this replica's own host only; run it there, or set server.ops_actions to all";
  }
  return undefined;
}

/**
 * Whether the page that sent a request is of this listener. A proxy before it may speak TLS where this listener does not,
 * so the scheme is not compared. A browser that says that another site sent the request is right.
 */
function isOwnPage({ origin = "", host, "sec-fetch-site": site }: IncomingMessage["headers"]): boolean {
  if (site !== undefined && site !== "same-origin") return false;
  return host !== undefined && /^https?:\/\/([^/]+)$/.exec(origin)?.[1] === host.toLowerCase();
}

/** RFC 1122 §3.2.1.3, RFC 4291 §2.5.3, and an IPv4 address as an IPv6 socket shows it. */
export function isLoopback(address: string | undefined): boolean {
  return address === "::1" || /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/.test(address ?? "");
}
