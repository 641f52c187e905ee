/**
 * Encodes and decodes members. It rejects only values that a Member cannot hold. The membership checks the texts of a
 * member (`checkMember`), and counts the messages that it rejects.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Member as MemberMessage,
  type MemberSchema,
  MemberState as StateMessage,
} from "../../../gen/orca/v1/membership_pb.ts";
import { incarnationMax, type Member, type MemberState } from "../../membership/member.ts";
import { malformedMessage, numberField, presentField } from "./message-field.ts";

const stateMessages: Readonly<Record<MemberState, StateMessage>> = {
  alive: StateMessage.ALIVE,
  suspect: StateMessage.SUSPECT,
  dead: StateMessage.DEAD,
  left: StateMessage.LEFT,
};

const states: ReadonlyMap<StateMessage, MemberState> = new Map(
  Object.entries(stateMessages).map(([state, message]) => [message, state as MemberState]),
);

export function encodeMember(member: Member): MessageInitShape<typeof MemberSchema> {
  const { replicaId, address, incarnation, state, zone, fingerprint, clusterName } = member;
  return {
    replicaId,
    address,
    incarnation: BigInt(incarnation),
    state: stateMessages[state],
    zone,
    fingerprint,
    clusterName,
  };
}

/** @throws OrcaError `invalid_argument` if it is missing, or its incarnation or state is invalid. */
export function decodeMember(member: MemberMessage | undefined, field: string): Member {
  const message = presentField(member, field);
  const { replicaId, address, zone, fingerprint, clusterName } = message;
  const state = states.get(message.state);
  if (!state) throw malformedMessage(`${field} is in the unknown state ${message.state}`);
  const incarnation = numberField(message.incarnation, `the incarnation of ${field}`, incarnationMax);
  return { replicaId, address, incarnation, state, zone, fingerprint, clusterName };
}
