/**
 * Who may have a replica do something by its ops listener, which knows no users. An action costs latency and never data,
 * but a stranger's `clear` every minute would cost all of it, so by default only this host is obeyed.
 *
 * A browser on this host is a stranger too, and would carry a web page's request here. It cannot: a page of another site
 * may not set `x-orca-action` without asking first (CORS), which is never allowed, and a page that has made its own name
 * point here (DNS rebinding) has the browser say so in `Origin`, which nothing else sends.
 */
import type { IncomingMessage } from "node:http";

/** `server.ops_actions`: who is obeyed. */
export type OpsActions = "local" | "all" | "none";

/** Why `action` is refused; undefined where it may be done. */
export function actionDenial(
  {
    headers,
    socket,
  }: Pick<IncomingMessage, "headers"> & { readonly socket: { readonly remoteAddress?: string | undefined } },
  action: string,
  allowed: OpsActions,
): string | undefined {
  if (allowed === "none") return "actions are switched off by server.ops_actions";
  if (headers.origin !== undefined) return "actions are not taken from a browser";
  if (headers["x-orca-action"] !== action) return `an action needs the header "x-orca-action: ${action}"`;
  if (allowed === "local" && !isLoopback(socket.remoteAddress)) {
    return "actions are taken from this replica's own host; ask from there, or set server.ops_actions to all";
  }
  return undefined;
}

/** RFC 1122 §3.2.1.3, RFC 4291 §2.5.3; and an IPv4 address as a socket of IPv6 shows it. */
function isLoopback(address: string | undefined): boolean {
  return address === "::1" || /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/.test(address ?? "");
}
