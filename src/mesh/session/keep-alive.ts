/**
 * Detects dead connections by HTTP/2 pings (RFC 9113 §6.7). TCP alone detects one only if it has bytes to send, and
 * after it has tried for a quarter of an hour. Until then the streams of the session hold memory, and their readers
 * wait.
 *
 * A stall of this replica's event loop must not look like a dead peer:
 * 1. This replica sends a ping and stalls. 2. The answer arrives and waits in the kernel. 3. The event loop runs again,
 * and timers fire before sockets are read. So only the second check without an answer ends the session, because sockets
 * are read between two checks.
 */
import type { Http2Session } from "node:http2";
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  /** Time between two checks. A dead peer is detected after two to three of them. */
  readonly intervalMs: number;
  /** Called before the session is destroyed. */
  readonly onDead: () => void;
}

const unansweredMax = 2;

/** Checks a session until it closes, and destroys a dead one. */
export function keepAlive(session: Http2Session, { clock, intervalMs, onDead }: KeepAliveOptions): void {
  assert(intervalMs > 0, "the interval between pings is positive");
  let waiting = false;
  let unanswered = 0;
  const timer = clock.timer(intervalMs, () => {
    if (session.destroyed) return;
    if (waiting) {
      unanswered += 1;
      if (unanswered === unansweredMax) {
        onDead();
        session.destroy(new Error(`the peer did not answer a ping for ${unansweredMax * intervalMs} ms`));
        return;
      }
    } else {
      waiting = true;
      session.ping((error) => {
        if (error) return;
        waiting = false;
        unanswered = 0;
      });
    }
    timer.refresh();
  });
  session.once("close", () => timer.cancel());
}
