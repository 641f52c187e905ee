/**
 * Sends the messages of membership to other replicas, over the control sessions. It only decodes the answers. The
 * Messenger that asked checks their content.
 */
import { MembershipService } from "../../../gen/orca/v1/membership_pb.ts";
import type {
  IndirectPing,
  IndirectPingAnswer,
  MembershipTransport,
  Ping,
  PingAnswer,
  View,
} from "../../membership/membership-message.ts";
import {
  decodeIndirectPingAnswer,
  decodePingAnswer,
  decodeViewAnswer,
  encodeIndirectPing,
  encodePing,
  encodeView,
} from "../codec/membership-codec.ts";
import { type PeerCallStats, PeerCalls, type PeerCallsOptions } from "../session/peer-calls.ts";

export class MembershipClient implements MembershipTransport {
  readonly stats: PeerCallStats;
  readonly #calls: PeerCalls<typeof MembershipService>;

  constructor(options: PeerCallsOptions) {
    this.#calls = new PeerCalls(MembershipService, options);
    this.stats = this.#calls.stats;
  }

  ping(address: string, message: Ping, timeoutMs: number): Promise<PingAnswer> {
    return this.#calls.call({
      address,
      timeoutMs,
      action: `Cannot ping "${message.targetId}" at ${address}`,
      ask: (client, options) => client.ping(encodePing(message), options),
      decode: decodePingAnswer,
    });
  }

  pingIndirect(address: string, message: IndirectPing, timeoutMs: number): Promise<IndirectPingAnswer> {
    return this.#calls.call({
      address,
      timeoutMs,
      action: `Cannot ping "${message.target.replicaId}" through ${address}`,
      ask: (client, options) => client.pingIndirect(encodeIndirectPing(message), options),
      decode: decodeIndirectPingAnswer,
    });
  }

  sync(address: string, view: View, timeoutMs: number): Promise<View> {
    return this.#calls.call({
      address,
      timeoutMs,
      action: `Cannot sync with ${address}`,
      ask: (client, options) => client.sync(encodeView(view), options),
      decode: decodeViewAnswer,
    });
  }
}
