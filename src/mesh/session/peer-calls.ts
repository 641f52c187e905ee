/**
 * Calls to other replicas that have one answer. Each call ends within its time, and each failure is an OrcaError. The
 * time comes from the Clock. A late call ends at once, without the transport: a transport that is connecting notices
 * late.
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
  /** The peer answered with an error. */
  peerError: number;
  /** The peer did not answer: it was unreachable, broke off or was late. */
  unavailable: number;
  /** The answer could not be decoded. */
  malformed: number;
};

export interface PeerCall<Service extends DescService, Message, Answer> {
  /** `host:port`. */
  readonly address: string;
  /** For the whole call, including connecting. */
  readonly timeoutMs: number;
  /** Ends the call, and the peer's work for it. */
  readonly signal?: AbortSignal | undefined;
  /** Begins the message of a failure, for example `Cannot ping r2.test:8444`. */
  readonly action: string;
  readonly ask: (client: Client<Service>, options: CallOptions) => Promise<Message>;
  /**
   * Checks and decodes the answer. An answer for which it throws is malformed. `replicaIds` are those for which the
   * peer's certificate was issued, and undefined if it names none.
   */
  readonly decode: (answer: Message, replicaIds: ReadonlySet<string> | undefined) => Answer;
}

export class PeerCalls<Service extends DescService> {
  readonly stats: PeerCallStats = { calls: 0, peerError: 0, unavailable: 0, malformed: 0 };
  readonly #service: Service;
  readonly #peers: Peers;
  readonly #clock: Clock;

  constructor(service: Service, { peers, clock }: PeerCallsOptions) {
    this.#service = service;
    this.#peers = peers;
    this.#clock = clock;
  }

  /** @throws OrcaError `peer_unavailable` if no valid answer arrived in time, else the peer's error. */
  async call<Message, Answer>(call: PeerCall<Service, Message, Answer>): Promise<Answer> {
    this.stats.calls += 1;
    let answer: Message;
    try {
      answer = await this.#ask(call);
    } catch (thrown) {
      const error = fromConnectError(thrown, call.action);
      if (error.code === "peer_unavailable") this.stats.unavailable += 1;
      else this.stats.peerError += 1;
      throw error;
    }
    try {
      return call.decode(answer, this.#peers.at(call.address).replicaIds);
    } catch (thrown) {
      if (thrown instanceof AssertionFailure) throw thrown;
      this.stats.malformed += 1;
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      const message = `${call.action}: its answer is malformed: ${reason}`;
      throw new OrcaError("peer_unavailable", "mesh", message, { cause: thrown });
    }
  }

  async #ask<Message>(call: PeerCall<Service, Message, unknown>): Promise<Message> {
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
      const signal = call.signal ? AbortSignal.any([stop.signal, call.signal]) : stop.signal;
      return await Promise.race([ask(client, { signal }), late.promise]);
    } finally {
      timer.cancel();
    }
  }
}
