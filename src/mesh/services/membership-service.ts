/**
 * The server side of membership: decodes the messages of other replicas, and passes them to Membership. Messages are
 * expensive to decode, above all their rumors. So the membership decides about a message by its session and by a header
 * before the body is read, and about its sender before the rest is decoded.
 */
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { type Member as MemberMessage, MembershipService } from "../../../gen/orca/v1/membership_pb.ts";
import { KiB } from "../../base/units.ts";
import type { Membership } from "../../membership/membership.ts";
import { toConnectError } from "../codec/connect-error.ts";
import { decodeMember } from "../codec/member-codec.ts";
import {
  decodeIndirectPing,
  decodePing,
  decodeSettings,
  decodeView,
  encodeIndirectPingAnswer,
  encodePingAnswer,
  encodeViewAnswer,
  fingerprintHeader,
} from "../codec/membership-codec.ts";
import { bodyBytesMaxKey, Caller, callerKey } from "../session/caller.ts";
import { messageBytesMax, pingBytesMax } from "../session/http2-limits.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

/** Bytes of a message from a replica that cannot be in the cluster: its own view, and the settings that differ. */
const unknownBytesMax = 64 * KiB;

/** The part of Membership that receives messages. */
export type MembershipReceiver = Pick<
  Membership,
  "admit" | "checkSender" | "receivePing" | "receivePingIndirect" | "receiveSync"
>;

interface FromSender {
  readonly sender?: MemberMessage | undefined;
  readonly settings?: Record<string, string>;
}

export function routeMembership(
  router: ConnectRouter,
  membership: MembershipReceiver,
  calls: ServiceCalls,
): void {
  const requestGate = gateOf(membership);
  const check = ({ sender, settings }: FromSender, { values }: HandlerContext): void =>
    membership.checkSender(
      decodeMember(sender, "the sender"),
      values.get(callerKey)?.replicaIds,
      settings && (() => decodeSettings(settings)),
    );
  router.service(
    MembershipService,
    {
      ping: (request, context) =>
        calls.answer(() => {
          check(request, context);
          return encodePingAnswer(membership.receivePing(decodePing(request)));
        }),
      pingIndirect: (request, context) =>
        calls.answer(async () => {
          check(request, context);
          const answer = await membership.receivePingIndirect(decodeIndirectPing(request));
          return encodeIndirectPingAnswer(answer);
        }),
    },
    { readMaxBytes: pingBytesMax, requestGate },
  );
  router.rpc(
    MembershipService.method.sync,
    (request, context) =>
      calls.answer(() => {
        check(request, context);
        return encodeViewAnswer(membership.receiveSync(decodeView(request)));
      }),
    { readMaxBytes: messageBytesMax, requestGate },
  );
}

/** Runs before the body of a message is read. */
function gateOf(membership: MembershipReceiver): (context: HandlerContext) => void {
  const nobody = new Caller(undefined);
  return ({ values, requestHeader }) => {
    try {
      const caller = values.get(callerKey) ?? nobody;
      if (membership.admit(caller, requestHeader.get(fingerprintHeader))) return;
      values.set(bodyBytesMaxKey, unknownBytesMax);
    } catch (thrown) {
      throw toConnectError(thrown);
    }
  };
}
