/**
 * A member as it stands in messages. Only what a Member cannot hold is refused here; whether its texts are what they
 * should be is checked by the membership (`checkMember`), which counts what it refuses.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type MemberSchema,
  type Member as WireMember,
  MemberState as WireState,
} from "../../../gen/orca/v1/membership_pb.ts";
import { incarnationMax, type Member, type MemberState } from "../../membership/member.ts";
import { malformed, present, wholeNumber } from "./message-field.ts";

const wireStates: Readonly<Record<MemberState, WireState>> = {
  alive: WireState.ALIVE,
  suspect: WireState.SUSPECT,
  dead: WireState.DEAD,
  left: WireState.LEFT,
};

const states: ReadonlyMap<WireState, MemberState> = new Map(
  Object.entries(wireStates).map(([state, wire]) => [wire, state as MemberState]),
);

export function encodeMember(member: Member): MessageInitShape<typeof MemberSchema> {
  const { replicaId, address, incarnation, state, zone, fingerprint, clusterName } = member;
  return {
    replicaId,
    address,
    incarnation: BigInt(incarnation),
    state: wireStates[state],
    zone,
    fingerprint,
    clusterName,
  };
}

/** @throws OrcaError `invalid_argument` when there is none, or its incarnation or state is none that can be. */
export function decodeMember(message: WireMember | undefined, field: string): Member {
  const wire = present(message, field);
  const { replicaId, address, zone, fingerprint, clusterName } = wire;
  const state = states.get(wire.state);
  if (!state) throw malformed(`${field} is in the unknown state ${wire.state}`);
  const incarnation = wholeNumber(wire.incarnation, `the incarnation of ${field}`, incarnationMax);
  return { replicaId, address, incarnation, state, zone, fingerprint, clusterName };
}
