/**
 * Sends the messages of membership to other replicas, over the control sessions. It only decodes the answers. The
 * Messenger that asked checks their content.
 */
import type { CallOptions } from "@connectrpc/connect";
import { MembershipService } from "../../../gen/orca/v1/membership_pb.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Member } from "../../membership/member.ts";
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
  fingerprintHeader,
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
      ask: (client, options) => client.ping(encodePing(message), headed(options, message.sender)),
      decode: (answer, replicaIds) => {
        const decoded = decodePingAnswer(answer);
        checkResponder(decoded.responder, replicaIds);
        return decoded;
      },
    });
  }

  pingIndirect(address: string, message: IndirectPing, timeoutMs: number): Promise<IndirectPingAnswer> {
    return this.#calls.call({
      address,
      timeoutMs,
      action: `Cannot ping "${message.target.replicaId}" through ${address}`,
      ask: (client, options) =>
        client.pingIndirect(encodeIndirectPing(message), headed(options, message.sender)),
      decode: decodeIndirectPingAnswer,
    });
  }

  sync(address: string, view: View, timeoutMs: number): Promise<View> {
    return this.#calls.call({
      address,
      timeoutMs,
      action: `Cannot sync with ${address}`,
      ask: (client, options) => client.sync(encodeView(view), headed(options, view.sender)),
      decode: (answer, replicaIds) => {
        const decoded = decodeViewAnswer(answer);
        checkResponder(decoded.sender, replicaIds);
        return decoded;
      },
    });
  }
}

function headed(options: CallOptions, { fingerprint }: Member): CallOptions {
  return { ...options, headers: { [fingerprintHeader]: fingerprint } };
}

/** @throws OrcaError `config_invalid` if the certificate is another replica's. */
function checkResponder({ replicaId }: Member, replicaIds: ReadonlySet<string> | undefined): void {
  if (!replicaIds || replicaIds.has(replicaId)) return;
  const names = [...replicaIds].join('", "');
  const reason = `it answers as "${replicaId}", and its certificate is that of "${names}"`;
  throw new OrcaError("config_invalid", "mesh", reason);
}
