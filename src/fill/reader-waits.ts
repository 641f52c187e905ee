/** What a reader notes of its waits, where its request is known. */
import type { Asker, Trace } from "../trace/trace.ts";
import { type Wait, Waits } from "../trace/waits.ts";

/** Made at the first wait: a reader that finds its bytes in memory has none. */
export function waitsOf(asker: Asker | undefined, trace: Trace | undefined): Waits | undefined {
  if (!asker || !trace) return undefined;
  asker.waits ??= new Waits(trace.clock, asker.requestId);
  return asker.waits;
}

export function beginWait(asker: Asker | undefined, trace: Trace | undefined, wait: Wait): Waits | undefined {
  const waits = waitsOf(asker, trace);
  waits?.begin(wait);
  return waits;
}
