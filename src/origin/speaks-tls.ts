/** Whether a server speaks TLS. Sends nothing but a handshake, and trusts nothing that it learns. */
import { connect } from "node:tls";
import type { Clock } from "../base/clock.ts";
import { httpServerOf } from "../http-client/http-client.ts";

export function speaksTls(url: URL, clock: Clock, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const { host, port } = httpServerOf(url);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  // Its certificate may be any: only the handshake counts, and no request follows.
  const socket = connect({ host, port, rejectUnauthorized: false });
  const timer = clock.timer(timeoutMs, () => resolve(false));
  const onAbort = (): void => resolve(false);
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once("secureConnect", () => resolve(true));
  socket.on("error", () => resolve(false));
  socket.once("close", () => resolve(false));
  return promise.finally(() => {
    timer.cancel();
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
  });
}
