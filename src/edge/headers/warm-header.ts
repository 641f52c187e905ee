/**
 * `x-orca-warm` on a HEAD with `Range: bytes=0-0`: for clients that cannot run `orca warm`. The object is queued to be
 * fetched into the cluster, and the answer is that of any such HEAD, with `x-orca-warm: queued` or `full`. It needs the
 * right to read, as the HEAD itself does. Only with `server.warm_header`: a client pays for no byte of what it makes the
 * origin send.
 */
import type { ObjectVersion } from "../../chunk/object-version.ts";
import type { Exchange } from "../exchange.ts";
import type { EdgeRequest } from "../lane/edge-request.ts";
import { linesOf } from "./header-lines.ts";

const name = "x-orca-warm";

type Warming = "queued" | "full";

/** Takes objects to be warmed. In another thread than that of the queue, its answer comes later. */
export interface WarmRequests {
  add(version: ObjectVersion): Warming | Promise<Warming>;
}

/** Whether a request asks for its object to be warmed. */
export function asksToWarm({ method, headers }: Pick<EdgeRequest, "method" | "headers">): boolean {
  return method === "HEAD" && headers[name] !== undefined && headers.range === "bytes=0-0";
}

/** Queues the object, and answers with what became of that. */
export async function sendWarming(
  exchange: Exchange,
  status: number,
  lines: string,
  warming: Warming | Promise<Warming>,
): Promise<void> {
  try {
    const warmed = await warming;
    if (!exchange.isOver) exchange.sendLines(status, lines + linesOf([name, warmed]));
  } catch (thrown) {
    exchange.fail(thrown);
  }
}
