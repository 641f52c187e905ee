/**
 * The messages of membership between what membership-message.ts says they are and what proto/orca/v1/membership.proto
 * writes. A message that cannot be what it should is `invalid_argument`, and nothing of it is taken in. What only a newer
 * replica knows (another kind of rumor) is skipped, so that a cluster may run two versions while it is upgraded.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
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
  Gossip as WireGossip,
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
import { malformed, name, text } from "./message-field.ts";
import {
  decodeAnnouncement,
  decodeInvalidation,
  encodeAnnouncement,
  encodeInvalidation,
} from "./rumor-codec.ts";

/** Four times what an honest message carries: reading an announcement costs a hash. */
const rumorsMax = 4096;
/** Some for every origin, and there may be many origins. */
const settingsMax = 4096;
const settingBytesMax = 4096;
const targetIdBytesMax = 1024;
const timeoutMsMax = 2 ** 32 - 1;

export function encodePing(ping: Ping): MessageInitShape<typeof PingRequestSchema> {
  return { sender: encodeMember(ping.sender), targetId: ping.targetId, gossip: encodeGossip(ping.gossip) };
}

export function decodePing(wire: PingRequest): Ping {
  return {
    sender: decodeMember(wire.sender, "the sender"),
    targetId: text(wire.targetId, "the target's id", targetIdBytesMax),
    gossip: decodeGossip(wire.gossip),
  };
}

export function encodePingAnswer(answer: PingAnswer): MessageInitShape<typeof PingResponseSchema> {
  return { responder: encodeMember(answer.responder), gossip: encodeGossip(answer.gossip) };
}

export function decodePingAnswer(wire: PingResponse): PingAnswer {
  return {
    responder: decodeMember(wire.responder, "the responder"),
    gossip: decodeGossip(wire.gossip),
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

export function decodeIndirectPing(wire: PingIndirectRequest): IndirectPing {
  return {
    sender: decodeMember(wire.sender, "the sender"),
    target: decodeMember(wire.target, "the target"),
    timeoutMs: wire.timeoutMs,
    gossip: decodeGossip(wire.gossip),
  };
}

export function encodeIndirectPingAnswer({
  reached,
  target,
  gossip,
}: IndirectPingAnswer): MessageInitShape<typeof PingIndirectResponseSchema> {
  return { reached, ...(target && { target: encodeMember(target) }), gossip: encodeGossip(gossip) };
}

export function decodeIndirectPingAnswer(wire: PingIndirectResponse): IndirectPingAnswer {
  return {
    reached: wire.reached,
    target: wire.target && decodeMember(wire.target, "the target"),
    gossip: decodeGossip(wire.gossip),
  };
}

export function encodeView(view: View): MessageInitShape<typeof SyncRequestSchema> {
  return { sender: encodeMember(view.sender), ...encodeViewContent(view) };
}

export function decodeView(wire: SyncRequest): View {
  return { sender: decodeMember(wire.sender, "the sender"), ...decodeViewContent(wire) };
}

/** The answer to a view is a view, whose sender the wire calls the responder. */
export function encodeViewAnswer(view: View): MessageInitShape<typeof SyncResponseSchema> {
  return { responder: encodeMember(view.sender), ...encodeViewContent(view) };
}

export function decodeViewAnswer(wire: SyncResponse): View {
  return { sender: decodeMember(wire.responder, "the responder"), ...decodeViewContent(wire) };
}

function encodeViewContent({ members, settings, gossip }: View) {
  return { members: members.map(encodeMember), settings: { ...settings }, gossip: encodeGossip(gossip) };
}

function decodeViewContent(wire: SyncRequest | SyncResponse): Omit<View, "sender"> {
  return {
    members: wire.members.map((member) => decodeMember(member, "a member of the view")),
    settings: decodeSettings(wire.settings),
    gossip: decodeGossip(wire.gossip),
  };
}

function decodeSettings(settings: Record<string, string>): Record<string, string> {
  const entries = Object.entries(settings);
  if (entries.length > settingsMax) throw malformed(`it has ${entries.length} settings`);
  for (const [path, value] of entries) {
    name(path, "the path of a setting", settingBytesMax);
    text(value, "the value of a setting", settingBytesMax);
    // Whoever looks up such a path among its own settings would find what every object has.
    if (Object.hasOwn(Object.prototype, path)) throw malformed(`"${path}" is no path of a setting`);
  }
  return settings;
}

function encodeGossip({ changes, rumors }: Gossip): MessageInitShape<typeof GossipSchema> {
  return {
    stateChanges: changes.map(({ member, reporterId }) => ({ member: encodeMember(member), reporterId })),
    invalidations: rumors.filter((rumor) => rumor.kind === "invalidation").map(encodeInvalidation),
    chunkAnnouncements: rumors.filter((rumor) => rumor.kind === "announcement").map(encodeAnnouncement),
  };
}

function decodeGossip(wire: WireGossip | undefined): Gossip {
  if (!wire) return { changes: [], rumors: [] };
  const { stateChanges, invalidations, chunkAnnouncements } = wire;
  const count = invalidations.length + chunkAnnouncements.length;
  if (count > rumorsMax) throw malformed(`it has ${count} rumors, at most ${rumorsMax} are taken`);
  const changes = stateChanges.map(({ member, reporterId }) => ({
    member: decodeMember(member, "the member of a change"),
    reporterId,
  }));
  const rumors: Rumor[] = invalidations.map(decodeInvalidation);
  for (const announcement of chunkAnnouncements) rumors.push(decodeAnnouncement(announcement));
  return { changes, rumors };
}
