/**
 * What HTTP/1.1 forbids in a request and Node's parser lets through. A proxy in front may read such a request in another
 * way than Orca, so it is rejected, and its connection is closed.
 */
import type { IncomingMessage } from "node:http";
import { OrcaError } from "../base/orca-error.ts";

export function faultOfMessage(message: IncomingMessage): OrcaError | undefined {
  if (message.httpVersionMajor !== 1) {
    return unreadable(`it is HTTP/${message.httpVersion}, and Orca serves HTTP/1.1`);
  }
  return hasTwoHosts(message.rawHeaders) ? unreadable("it has more than one Host") : undefined;
}

/** RFC 9112 §3.2. Node joins the values of other headers, and keeps the first Host only. */
function hasTwoHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 4 && (name === "Host" || name.toLowerCase() === "host")) hosts += 1;
  }
  return hosts > 1;
}

function unreadable(reason: string): OrcaError {
  return new OrcaError("invalid_request", "client", `Cannot read the request: ${reason}`);
}
