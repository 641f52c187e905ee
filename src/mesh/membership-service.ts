/** The answering side of membership: reads what other replicas say, and hands it to this one's Membership. */
import type { ConnectRouter } from "@connectrpc/connect";
import { MembershipService } from "../../gen/orca/v1/membership_pb.ts";
import type { Membership } from "../membership/membership.ts";
import {
  indirectPingAnswerToWire,
  indirectPingFromWire,
  pingAnswerToWire,
  pingFromWire,
  viewAnswerToWire,
  viewFromWire,
} from "./membership-wire.ts";
import type { ServiceCalls } from "./service-calls.ts";

/** What messages are handed to. */
export type MembershipReceiver = Pick<Membership, "receivePing" | "receivePingIndirect" | "receiveSync">;

export function routeMembership(
  router: ConnectRouter,
  membership: MembershipReceiver,
  calls: ServiceCalls,
): void {
  router.service(MembershipService, {
    ping: (request) => calls.answer(() => pingAnswerToWire(membership.receivePing(pingFromWire(request)))),
    pingIndirect: (request) =>
      calls.answer(async () => {
        const answer = await membership.receivePingIndirect(indirectPingFromWire(request));
        return indirectPingAnswerToWire(answer);
      }),
    sync: (request) => calls.answer(() => viewAnswerToWire(membership.receiveSync(viewFromWire(request)))),
  });
}
