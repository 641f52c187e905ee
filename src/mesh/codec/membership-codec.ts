/**
 * Encodes and decodes the messages of membership (proto/orca/v1/membership.proto). An invalid message is
 * `invalid_argument`, and nothing of it is used. Content that only a newer replica knows, such as another kind of
 * rumor, is skipped, so that a cluster can run two versions during an upgrade.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  Gossip as GossipMessage,
  GossipSchema,
  PingIndirectRequest,
  PingIndirectRequestSchema,
  PingIndirectResponse,
  PingIndirectResponseSchema,
  PingRequest,
  PingRequestSchema,
  PingResponse,
  PingResponseSchema,
  SyncRequest,
  SyncRequestSchema,
  SyncResponse,
  SyncResponseSchema,
} from "../../../gen/orca/v1/membership_pb.ts";
import type {
  Gossip,
  IndirectPing,
  IndirectPingAnswer,
  Ping,
  PingAnswer,
  View,
} from "../../membership/membership-message.ts";
import type { Rumor } from "../../membership/rumor.ts";
import { decodeMember, encodeMember } from "./member-codec.ts";
import { malformedMessage, nameField, textField } from "./message-field.ts";
import {
  decodeAnnouncement,
  decodeInvalidation,
  decodeThrottle,
  encodeAnnouncement,
  encodeInvalidation,
  encodeThrottle,
} from "./rumor-codec.ts";

/** The header beside a message with the fingerprint of its sender. It is read before the message is. */
export const fingerprintHeader = "orca-fingerprint";

/** Four times as many as an honest message carries. There is a limit because decoding an announcement costs a hash. */
const rumorsMax = 4096;
/** Each origin has several settings, and there may be many origins. */
const settingsMax = 4096;
const settingBytesMax = 4096;
const targetIdBytesMax = 1024;
const timeoutMsMax = 2 ** 32 - 1;

export function encodePing(ping: Ping): MessageInitShape<typeof PingRequestSchema> {
  return { sender: encodeMember(ping.sender), targetId: ping.targetId, gossip: encodeGossip(ping.gossip) };
}

export function decodePing(message: PingRequest): Ping {
  return {
    sender: decodeMember(message.sender, "the sender"),
    targetId: textField(message.targetId, "the target's id", targetIdBytesMax),
    gossip: decodeGossip(message.gossip),
  };
}

export function encodePingAnswer(answer: PingAnswer): MessageInitShape<typeof PingResponseSchema> {
  return { responder: encodeMember(answer.responder), gossip: encodeGossip(answer.gossip) };
}

export function decodePingAnswer(message: PingResponse): PingAnswer {
  return {
    responder: decodeMember(message.responder, "the responder"),
    gossip: decodeGossip(message.gossip),
  };
}

export function encodeIndirectPing(ping: IndirectPing): MessageInitShape<typeof PingIndirectRequestSchema> {
  return {
    sender: encodeMember(ping.sender),
    target: encodeMember(ping.target),
    timeoutMs: Math.min(Math.max(0, Math.floor(ping.timeoutMs)), timeoutMsMax),
    gossip: encodeGossip(ping.gossip),
  };
}

export function decodeIndirectPing(message: PingIndirectRequest): IndirectPing {
  return {
    sender: decodeMember(message.sender, "the sender"),
    target: decodeMember(message.target, "the target"),
    timeoutMs: message.timeoutMs,
    gossip: decodeGossip(message.gossip),
  };
}

export function encodeIndirectPingAnswer({
  reached,
  target,
  gossip,
}: IndirectPingAnswer): MessageInitShape<typeof PingIndirectResponseSchema> {
  return { reached, ...(target && { target: encodeMember(target) }), gossip: encodeGossip(gossip) };
}

export function decodeIndirectPingAnswer(message: PingIndirectResponse): IndirectPingAnswer {
  return {
    reached: message.reached,
    target: message.target && decodeMember(message.target, "the target"),
    gossip: decodeGossip(message.gossip),
  };
}

export function encodeView(view: View): MessageInitShape<typeof SyncRequestSchema> {
  return { sender: encodeMember(view.sender), ...encodeViewContent(view) };
}

export function decodeView(message: SyncRequest): View {
  return { sender: decodeMember(message.sender, "the sender"), ...decodeViewContent(message) };
}

/** The answer to a view is a view, too. Its message calls the sender the responder. */
export function encodeViewAnswer(view: View): MessageInitShape<typeof SyncResponseSchema> {
  return { responder: encodeMember(view.sender), ...encodeViewContent(view) };
}

export function decodeViewAnswer(message: SyncResponse): View {
  return { sender: decodeMember(message.responder, "the responder"), ...decodeViewContent(message) };
}

function encodeViewContent({ members, settings, gossip }: View) {
  return { members: members.map(encodeMember), settings: { ...settings }, gossip: encodeGossip(gossip) };
}

function decodeViewContent(message: SyncRequest | SyncResponse): Omit<View, "sender"> {
  return {
    members: message.members.map((member) => decodeMember(member, "a member of the view")),
    settings: decodeSettings(message.settings),
    gossip: decodeGossip(message.gossip),
  };
}

/** @throws OrcaError `invalid_argument`. */
export function decodeSettings(settings: Record<string, string>): Record<string, string> {
  const entries = Object.entries(settings);
  if (entries.length > settingsMax)
    throw malformedMessage(`it has ${entries.length} settings, at most ${settingsMax} are accepted`);
  for (const [path, value] of entries) {
    nameField(path, "the path of a setting", settingBytesMax);
    textField(value, "the value of a setting", settingBytesMax);
    // A look-up of such a path among this replica's settings would find a property that every object has.
    if (Object.hasOwn(Object.prototype, path))
      throw malformedMessage(`"${path}" is not the path of a setting`);
  }
  return settings;
}

function encodeGossip({ changes, rumors }: Gossip): MessageInitShape<typeof GossipSchema> {
  return {
    stateChanges: changes.map(({ member, reporterId }) => ({ member: encodeMember(member), reporterId })),
    invalidations: rumors.filter((rumor) => rumor.kind === "invalidation").map(encodeInvalidation),
    chunkAnnouncements: rumors.filter((rumor) => rumor.kind === "announcement").map(encodeAnnouncement),
    originThrottles: rumors.filter((rumor) => rumor.kind === "throttle").map(encodeThrottle),
  };
}

function decodeGossip(message: GossipMessage | undefined): Gossip {
  if (!message) return { changes: [], rumors: [] };
  const { stateChanges, invalidations, chunkAnnouncements, originThrottles } = message;
  const count = invalidations.length + chunkAnnouncements.length + originThrottles.length;
  if (count > rumorsMax) throw malformedMessage(`it has ${count} rumors, at most ${rumorsMax} are accepted`);
  const changes = stateChanges.map(({ member, reporterId }) => ({
    member: decodeMember(member, "the member of a change"),
    reporterId,
  }));
  const rumors: Rumor[] = invalidations.map(decodeInvalidation);
  for (const throttle of originThrottles) rumors.push(decodeThrottle(throttle));
  for (const announcement of chunkAnnouncements) rumors.push(decodeAnnouncement(announcement));
  return { changes, rumors };
}
