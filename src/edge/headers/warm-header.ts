/**
 * `x-orca-warm` on a HEAD with `Range: bytes=0-0`: for clients that cannot run `orca warm`. The object is queued to be
 * fetched into the cluster, and the answer is that of any such HEAD, with `x-orca-warm: queued` or `full`. It needs the
 * right to read, as the HEAD itself does. Only with `server.warm_header`: a client pays for no byte of what it makes the
 * origin send.
 */
import type { IncomingMessage } from "node:http";
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { WarmQueue } from "../../fill/warming/warm-queue.ts";

const name = "x-orca-warm";

/** Queues the object where the request asks for that. Returns what the answer then says of it, as flat headers. */
export function warmedBy(
  { method, headers }: Pick<IncomingMessage, "method" | "headers">,
  version: ObjectVersion,
  queue: Pick<WarmQueue, "add"> | undefined,
): readonly string[] | undefined {
  const isAsked = method === "HEAD" && headers[name] !== undefined && headers.range === "bytes=0-0";
  return queue && isAsked ? [name, queue.add(version)] : undefined;
}
