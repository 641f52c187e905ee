/**
 * Finds dead connections by HTTP/2 pings (RFC 9113 §6.7). TCP alone finds them when it has bytes to send and has tried
 * for a quarter of an hour; until then the streams on such a session hold memory and their readers wait.
 *
 * A stalled event loop is not taken for a dead peer:
 * 1. we send a ping and stall; 2. the answer comes and waits in the kernel; 3. we go on, and timers fire before sockets
 * are read. A session is given up at the second look that finds no answer, and between two looks sockets are read.
 */
import type { Http2Session } from "node:http2";
import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  /** Time between two looks. A peer is found dead two to three of them after it died. */
  readonly intervalMs: number;
  /** Called before the session is destroyed. */
  readonly onDead: () => void;
}

const unansweredMax = 2;

/** Keeps watch from now until the session closes; a dead one is destroyed. */
export function keepAlive(session: Http2Session, { clock, intervalMs, onDead }: KeepAliveOptions): void {
  assert(intervalMs > 0, "pings have time between them");
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
