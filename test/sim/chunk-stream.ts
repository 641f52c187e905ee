/**
 * One FillChunk on the simulated mesh, both ends of it. The sender hands over slice by slice and pins each until it has
 * arrived; while it has none it sends heartbeats, so that the caller's stall deadline tells a silent replica from one
 * that waits for its origin. Either end may go: the caller by its signal, the sender by dying, both by a reset.
 *
 * Invariant: the sink is not touched once `run` has settled.
 */

import type { ByteSink } from "../../src/base/byte-sink.ts";
import { type Clock, sleep } from "../../src/base/clock.ts";
import { OrcaError } from "../../src/base/orca-error.ts";
import type { PeerRead, PeerReadEnd } from "../../src/fill/chunk-peers.ts";
import type { ChunkAnswer } from "../../src/fill/chunk-server.ts";
import { StallDeadline } from "../../src/mesh/session/stall-deadline.ts";
import type { Chance } from "../support/chance.ts";
import type { MeshCaller, MeshHost, MessageCarrier } from "./mesh-host.ts";
import { deliver } from "./simulated-origin.ts";
import { unavailable } from "./unavailable.ts";

export const stallTimeoutMs = 3000;
const heartbeatMs = 1000;

export interface ChunkStreamOptions {
  readonly mesh: MessageCarrier;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly from: MeshCaller;
  readonly to: string;
  readonly request: PeerRead;
  readonly sink: ByteSink;
}

export class ChunkStream {
  readonly from: MeshCaller;
  readonly to: string;
  readonly #options: ChunkStreamOptions;
  readonly #outcome = Promise.withResolvers<PeerReadEnd>();
  #stall: StallDeadline | undefined;
  /** The caller waits no more. */
  #isOver = false;
  /** How the sender's end is told that it is over. */
  #hangUp: (() => void) | undefined;

  constructor(options: ChunkStreamOptions) {
    this.#options = options;
    this.from = options.from;
    this.to = options.to;
  }

  /** @throws as ChunkPeers.read does. */
  async run(signal: AbortSignal): Promise<PeerReadEnd> {
    const onAbort = (): void => this.#end(() => this.#outcome.reject(signal.reason as Error));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    this.#stall = new StallDeadline(this.from.clock, stallTimeoutMs, () =>
      this.#fail(unavailable(this.to, `not a byte within ${stallTimeoutMs} ms`)),
    );
    void this.#serve();
    try {
      return await this.#outcome.promise;
    } finally {
      this.#stall.end();
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** The connection breaks, as both ends see. */
  reset(): void {
    this.from.clock.deliver(() => this.#fail(unavailable(this.to, "the connection was reset")));
  }

  /** The caller's process is gone: it hears nothing any more, and the sender notices. */
  abandon(): void {
    this.#end(() => {});
  }

  readonly #isWanted = (): boolean => !this.#isOver;

  async #serve(): Promise<void> {
    const { mesh, request } = this.#options;
    const host = await mesh.arrive(this.from, this.to, this.#isWanted);
    if (host === "swallowed" || this.#isOver) return;
    if (host === "refused") return this.#sayError(unavailable(this.to, "the connection was refused"));
    try {
      const answer = host.chunks.answer(request);
      if (!answer) throw new OrcaError("not_held", "mesh", `Cannot read from "${this.to}": it is not held`);
      this.#hangUp = () => host.clock.deliver(() => answer.slices.close());
      await this.#send(host, answer);
    } catch (thrown) {
      await this.#sayError(thrown);
    }
  }

  async #send(host: MeshHost, answer: ChunkAnswer): Promise<void> {
    const { mesh, sink } = this.#options;
    const { slices, source } = answer;
    try {
      while (!slices.done && !this.#isOver) {
        const slice = slices.take();
        if (slice === null) {
          await this.#alive(host, slices.ready());
          continue;
        }
        await mesh.carry(this.to, this.from, this.#isWanted);
        if (this.#isOver) return;
        if (mesh.blackHoles.has(this.to)) return await new Promise<never>(() => {});
        deliver(slice, sink);
        this.#stall?.restart();
        slices.release();
      }
      await mesh.carry(this.to, this.from, this.#isWanted);
      const end: PeerReadEnd = { source, sha256: await answer.sha256() };
      this.#end(() => this.#outcome.resolve(end));
    } finally {
      // A process that is dead closes nothing: its flights would be cut, and others of it would ask the origin.
      host.clock.deliver(() => slices.close());
    }
  }

  /** Waits for what the sender waits for, and lets the caller know that it does. */
  async #alive(host: MeshHost, ready: Promise<void>): Promise<void> {
    const { mesh } = this.#options;
    const timer = host.clock.timer(heartbeatMs, () => {
      timer.refresh();
      if (mesh.blackHoles.has(this.to)) return;
      void mesh.carry(this.to, this.from, this.#isWanted).then(() => this.#stall?.restart());
    });
    try {
      await ready;
    } finally {
      timer.cancel();
    }
  }

  async #sayError(thrown: unknown): Promise<void> {
    if (this.#isOver) return;
    await this.#options.mesh.carry(this.to, this.from, this.#isWanted);
    this.#end(() => this.#outcome.reject(thrown));
  }

  #fail(error: OrcaError): void {
    this.#end(() => this.#outcome.reject(error));
  }

  #end(settle: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    settle();
    void this.#tellSender();
  }

  /** Across a partition the sender finds out by its own stall deadline. */
  async #tellSender(): Promise<void> {
    const { mesh, clock, chance, from } = this.#options;
    const isCut = mesh.isCut(from.replicaId, this.to);
    await sleep(clock, isCut ? stallTimeoutMs : chance.between(0.5, 20));
    this.#hangUp?.();
  }
}
