/** The listeners of all threads at the port for chunk bytes (`cluster.bytes_listen`), as the mesh listener's companion. */
import type { ListeningServerOptions } from "../../base/listening-server.ts";
import type { ListenAddress } from "../../config/codec.ts";
import { receivedError } from "../../edge/threads/sent-error.ts";
import { freePort } from "./free-port.ts";
import type { ThreadHandle } from "./thread-handle.ts";
import { drainLateMs, within } from "./within.ts";

type PeerThread = Pick<ThreadHandle, "send" | "answer" | "gauges">;

export class BytesListener {
  readonly #address: ListenAddress;
  readonly #options: Pick<ListeningServerOptions, "clock" | "logger" | "onDied">;
  readonly #start: () => readonly PeerThread[];
  #threads: readonly PeerThread[] = [];

  /** `start` starts the threads if they have not been started, and returns them. */
  constructor(
    address: ListenAddress,
    options: Pick<ListeningServerOptions, "clock" | "logger" | "onDied">,
    start: () => readonly PeerThread[],
  ) {
    this.#address = address;
    this.#options = options;
    this.#start = start;
  }

  /** For /readyz: connections to a thread that a person must mend, or null. */
  get notice(): string | null {
    return this.#threads.map(({ gauges }) => gauges.bytesPort).find((notice) => notice !== null) ?? null;
  }

  /** Resolves with the port, at which all threads listen. @throws OrcaError config_invalid if one of them cannot. */
  async start(): Promise<number> {
    const { host } = this.#address;
    const named = { ...this.#options, whom: "other replicas", setting: "cluster.bytes_listen" };
    const port = await freePort(this.#address, named);
    this.#threads = this.#start();
    const answers = this.#threads.map((thread) => {
      thread.send({ kind: "listenForPeers", host, port });
      return thread.answer("listeningForPeers");
    });
    for (const { error } of await Promise.all(answers)) if (error) throw receivedError(error);
    return port;
  }

  /** Resolves with the number of sessions that were cut. */
  async drain(timeoutMs: number): Promise<number> {
    const cuts = this.#threads.map(async (thread) => {
      thread.send({ kind: "drainPeers", timeoutMs });
      // A thread that has died has no session left, and the replica knows of it already.
      const drained = thread.answer("peersDrained").catch(() => undefined);
      return (await within(this.#options.clock, timeoutMs + drainLateMs, drained))?.cut ?? 0;
    });
    return (await Promise.all(cuts)).reduce((sum, cut) => sum + cut, 0);
  }
}
