/**
 * Keeps web pages from reading a listener that only this host can reach. A page at evil.example can point that name to
 * 127.0.0.1 (DNS rebinding). Then its requests are of its own origin to the browser, which sends them and shows the page
 * the answers. What tells them apart is the name in `Host`: nobody can point an address elsewhere, nor `localhost`
 * (RFC 6761 §6.3).
 */
import { isIP } from "node:net";

/** Why a request with this `Host` is denied; undefined if it may be answered. Browsers always send one. */
export function hostDenial(host: string | undefined): string | undefined {
  if (host === undefined) return undefined;
  const name = host.replace(/:\d*$/, "").toLowerCase().replace(/\.$/, "");
  if (name === "localhost" || name.endsWith(".localhost")) return undefined;
  if (isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0) return undefined;
  return "this listener is for its own host only, and takes requests to an address or to localhost";
}
