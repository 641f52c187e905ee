/** The server side of membership: decodes the messages of other replicas, and passes them to Membership. */
import type { ConnectRouter } from "@connectrpc/connect";
import { MembershipService } from "../../../gen/orca/v1/membership_pb.ts";
import type { Membership } from "../../membership/membership.ts";
import {
  decodeIndirectPing,
  decodePing,
  decodeView,
  encodeIndirectPingAnswer,
  encodePingAnswer,
  encodeViewAnswer,
} from "../codec/membership-codec.ts";
import { messageBytesMax, pingBytesMax } from "../session/http2-limits.ts";
import type { ServiceCalls } from "../session/service-calls.ts";

/** The part of Membership that receives messages. */
export type MembershipReceiver = Pick<Membership, "receivePing" | "receivePingIndirect" | "receiveSync">;

export function routeMembership(
  router: ConnectRouter,
  membership: MembershipReceiver,
  calls: ServiceCalls,
): void {
  const { sync } = MembershipService.method;
  router.service(
    MembershipService,
    {
      ping: (request) => calls.answer(() => encodePingAnswer(membership.receivePing(decodePing(request)))),
      pingIndirect: (request) =>
        calls.answer(async () => {
          const answer = await membership.receivePingIndirect(decodeIndirectPing(request));
          return encodeIndirectPingAnswer(answer);
        }),
    },
    { readMaxBytes: pingBytesMax },
  );
  router.rpc(
    sync,
    (request) => calls.answer(() => encodeViewAnswer(membership.receiveSync(decodeView(request)))),
    { readMaxBytes: messageBytesMax },
  );
}
