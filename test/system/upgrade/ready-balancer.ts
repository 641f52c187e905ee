/**
 * A load balancer of TCP connections, as a Service of Kubernetes is one: it asks each replica's `/readyz` and gives new
 * connections to those that are ready, in turn. It knows no HTTP, opens no second connection in place of one that fails, and
 * leaves open connections where they are. So an error that a replica causes reaches the client.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { OrcaProcess } from "../../support/orca-process.ts";

/** A replica is out after two failures, as with the manifests for Kubernetes, whose times are ten times as long. */
const probeEveryMs = 200;
const probeTimeoutMs = 1000;
const failuresMax = 2;

/** The first question is still to be asked. */
class Backend {
  readonly replica: OrcaProcess;
  isReady = false;
  failures = 0;

  constructor(replica: OrcaProcess) {
    this.replica = replica;
  }

  async probe(): Promise<void> {
    const signal = AbortSignal.timeout(probeTimeoutMs);
    const isOk = await fetch(`${this.replica.opsEndpoint}/readyz`, { signal }).then(
      async (response) => {
        await response.arrayBuffer();
        return response.ok;
      },
      () => false,
    );
    this.failures = isOk ? 0 : this.failures + 1;
    if (isOk) this.isReady = true;
    else if (this.failures >= failuresMax) this.isReady = false;
  }
}

export class ReadyBalancer {
  /** Connections given to each replica, and those that found none ready. */
  readonly stats = { given: [] as number[], rejected: 0 };
  readonly #backends: Backend[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#give(client));
  readonly #stopping = new AbortController();
  #probing: Promise<void> | undefined;
  #next = 0;

  async start(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.#probing = this.#probe();
  }

  /** `http://127.0.0.1:<port>`. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Adds a replica, or puts a started one in the place of one that ended. It gets connections once it is ready. */
  set(index: number, replica: OrcaProcess): void {
    this.#backends[index] = new Backend(replica);
    this.stats.given[index] ??= 0;
  }

  isReady(index: number): boolean {
    return this.#backends[index]?.isReady ?? false;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#probing;
    if (!this.#server.listening) return;
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, "close");
  }

  async #probe(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await Promise.all(this.#backends.map((backend) => backend.probe()));
      await sleep(probeEveryMs, undefined, { signal }).catch(() => {});
    }
  }

  #give(client: Socket): void {
    const ready = this.#backends.flatMap(({ isReady }, index) => (isReady ? [index] : []));
    const index = ready[this.#next++ % ready.length];
    const backend = index === undefined ? undefined : this.#backends[index];
    if (index === undefined || !backend) {
      this.stats.rejected += 1;
      client.destroy();
      return;
    }
    this.stats.given[index] = (this.stats.given[index] ?? 0) + 1;
    const { hostname, port } = new URL(backend.replica.endpoint);
    const replica = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
    client.setNoDelay();
    this.#join(client, replica);
    this.#join(replica, client);
  }

  /** The end of one is the end of the other, and so is a reset. */
  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.pipe(to);
    from.on("error", () => to.resetAndDestroy());
    from.once("close", () => {
      this.#sockets.delete(from);
      if (!from.readableEnded) to.destroy();
    });
  }
}
