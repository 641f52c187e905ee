/**
 * Calls with one answer to other replicas: each ends within its time, and each failure is an OrcaError. It takes its time
 * from a Clock and does not wait for the transport to notice: a transport that is connecting notices late.
 */
import type { DescService } from "@bufbuild/protobuf";
import { type CallOptions, type Client, createClient } from "@connectrpc/connect";
import { AssertionFailure } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { fromConnectError } from "../codec/connect-error.ts";
import type { Peers } from "./peers.ts";

export interface PeerCallsOptions {
  readonly peers: Peers;
  readonly clock: Clock;
}

export type PeerCallStats = {
  calls: number;
  /** The peer answered with an error of its own. */
  refused: number;
  /** There was no answer: not reached, broken off, not in time. */
  unavailable: number;
  /** There was an answer, and it was not what it should be. */
  malformed: number;
};

export interface PeerCall<Service extends DescService, Wire, Answer> {
  /** `host:port`. */
  readonly address: string;
  /** All of it, connecting included. */
  readonly timeoutMs: number;
  /** What failed when it fails, such as `Cannot ping r2.test:8444`. */
  readonly action: string;
  readonly ask: (client: Client<Service>, options: CallOptions) => Promise<Wire>;
  /** Checks the answer and takes it apart. What it throws makes the answer malformed. */
  readonly read: (answer: Wire) => Answer;
}

export class PeerCalls<Service extends DescService> {
  readonly stats: PeerCallStats = { calls: 0, refused: 0, unavailable: 0, malformed: 0 };
  readonly #service: Service;
  readonly #peers: Peers;
  readonly #clock: Clock;

  constructor(service: Service, { peers, clock }: PeerCallsOptions) {
    this.#service = service;
    this.#peers = peers;
    this.#clock = clock;
  }

  /** @throws OrcaError `peer_unavailable` where no good answer came in time; else what the peer said. */
  async call<Wire, Answer>(call: PeerCall<Service, Wire, Answer>): Promise<Answer> {
    this.stats.calls += 1;
    let answer: Wire;
    try {
      answer = await this.#ask(call);
    } catch (thrown) {
      const error = fromConnectError(thrown, call.action);
      if (error.code === "peer_unavailable") this.stats.unavailable += 1;
      else this.stats.refused += 1;
      throw error;
    }
    try {
      return call.read(answer);
    } catch (thrown) {
      if (thrown instanceof AssertionFailure) throw thrown;
      this.stats.malformed += 1;
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      const message = `${call.action}: its answer is malformed: ${reason}`;
      throw new OrcaError("peer_unavailable", "mesh", message, { cause: thrown });
    }
  }

  async #ask<Wire>(call: PeerCall<Service, Wire, unknown>): Promise<Wire> {
    const { address, timeoutMs, action, ask } = call;
    const stop = new AbortController();
    const late = Promise.withResolvers<never>();
    const timer = this.#clock.timer(timeoutMs, () => {
      const error = new OrcaError("peer_unavailable", "mesh", `${action}: no answer within ${timeoutMs} ms`);
      late.reject(error);
      stop.abort(error);
    });
    try {
      const client = createClient(this.#service, this.#peers.at(address).transport);
      return await Promise.race([ask(client, { signal: stop.signal }), late.promise]);
    } finally {
      timer.cancel();
    }
  }
}
