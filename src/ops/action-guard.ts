/**
 * Decides who may run an action on the ops listener, which has no authentication. An action costs latency and never data,
 * but a stranger who clears the cache every minute would defeat it. So by default only this host may run actions.
 *
 * A browser on this host is a stranger too: a web page could send its request through it. Two checks prevent that. A page
 * of another site cannot set `x-orca-action` without a CORS preflight, which is never allowed. A page that makes its own
 * name point to this host (DNS rebinding) cannot keep the browser from sending `Origin`, which no other client sends.
 */
import type { IncomingMessage } from "node:http";

/** `server.ops_actions`: who may run actions. */
export type OpsActions = "local" | "all" | "none";

/** Why `action` is denied; undefined if it may run. */
export function actionDenial(
  {
    headers,
    socket,
  }: Pick<IncomingMessage, "headers"> & { readonly socket: { readonly remoteAddress?: string | undefined } },
  action: string,
  allowed: OpsActions,
): string | undefined {
  if (allowed === "none") return "actions are switched off by server.ops_actions";
  if (headers.origin !== undefined) return "actions are not allowed from a browser";
  if (headers["x-orca-action"] !== action) return `an action needs the header "x-orca-action: ${action}"`;
  if (allowed === "local" && !isLoopback(socket.remoteAddress)) {
    return "actions are allowed from this replica's own host only; run it there, or set server.ops_actions to all";
  }
  return undefined;
}

/** RFC 1122 §3.2.1.3, RFC 4291 §2.5.3, and an IPv4 address as an IPv6 socket shows it. */
export function isLoopback(address: string | undefined): boolean {
  return address === "::1" || /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/.test(address ?? "");
}
