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
} from "../../gen/orca/v1/membership_pb.ts";
import type {
  Gossip,
  IndirectPing,
  IndirectPingAnswer,
  Ping,
  PingAnswer,
  View,
} from "../membership/membership-message.ts";
import type { Rumor } from "../membership/rumor.ts";
import { memberFromWire, memberToWire } from "./member-wire.ts";
import {
  announcementFromWire,
  announcementToWire,
  invalidationFromWire,
  invalidationToWire,
} from "./rumor-wire.ts";
import { malformed, name, text } from "./wire-field.ts";

/** Four times what an honest message carries: reading an announcement costs a hash. */
const rumorsMax = 4096;
/** Some for every origin, and there may be many origins. */
const settingsMax = 4096;
const settingBytesMax = 4096;
const targetIdBytesMax = 1024;
const timeoutMsMax = 2 ** 32 - 1;

export function pingToWire(ping: Ping): MessageInitShape<typeof PingRequestSchema> {
  return { sender: memberToWire(ping.sender), targetId: ping.targetId, gossip: gossipToWire(ping.gossip) };
}

export function pingFromWire(wire: PingRequest): Ping {
  return {
    sender: memberFromWire(wire.sender, "the sender"),
    targetId: text(wire.targetId, "the target's id", targetIdBytesMax),
    gossip: gossipFromWire(wire.gossip),
  };
}

export function pingAnswerToWire(answer: PingAnswer): MessageInitShape<typeof PingResponseSchema> {
  return { responder: memberToWire(answer.responder), gossip: gossipToWire(answer.gossip) };
}

export function pingAnswerFromWire(wire: PingResponse): PingAnswer {
  return {
    responder: memberFromWire(wire.responder, "the responder"),
    gossip: gossipFromWire(wire.gossip),
  };
}

export function indirectPingToWire(ping: IndirectPing): MessageInitShape<typeof PingIndirectRequestSchema> {
  return {
    sender: memberToWire(ping.sender),
    target: memberToWire(ping.target),
    timeoutMs: Math.min(Math.max(0, Math.floor(ping.timeoutMs)), timeoutMsMax),
    gossip: gossipToWire(ping.gossip),
  };
}

export function indirectPingFromWire(wire: PingIndirectRequest): IndirectPing {
  return {
    sender: memberFromWire(wire.sender, "the sender"),
    target: memberFromWire(wire.target, "the target"),
    timeoutMs: wire.timeoutMs,
    gossip: gossipFromWire(wire.gossip),
  };
}

export function indirectPingAnswerToWire({
  reached,
  target,
  gossip,
}: IndirectPingAnswer): MessageInitShape<typeof PingIndirectResponseSchema> {
  return { reached, ...(target && { target: memberToWire(target) }), gossip: gossipToWire(gossip) };
}

export function indirectPingAnswerFromWire(wire: PingIndirectResponse): IndirectPingAnswer {
  return {
    reached: wire.reached,
    target: wire.target && memberFromWire(wire.target, "the target"),
    gossip: gossipFromWire(wire.gossip),
  };
}

export function viewToWire(view: View): MessageInitShape<typeof SyncRequestSchema> {
  return { sender: memberToWire(view.sender), ...viewContentToWire(view) };
}

export function viewFromWire(wire: SyncRequest): View {
  return { sender: memberFromWire(wire.sender, "the sender"), ...viewContentFromWire(wire) };
}

/** The answer to a view is a view, whose sender the wire calls the responder. */
export function viewAnswerToWire(view: View): MessageInitShape<typeof SyncResponseSchema> {
  return { responder: memberToWire(view.sender), ...viewContentToWire(view) };
}

export function viewAnswerFromWire(wire: SyncResponse): View {
  return { sender: memberFromWire(wire.responder, "the responder"), ...viewContentFromWire(wire) };
}

function viewContentToWire({ members, settings, gossip }: View) {
  return { members: members.map(memberToWire), settings: { ...settings }, gossip: gossipToWire(gossip) };
}

function viewContentFromWire(wire: SyncRequest | SyncResponse): Omit<View, "sender"> {
  return {
    members: wire.members.map((member) => memberFromWire(member, "a member of the view")),
    settings: settingsFromWire(wire.settings),
    gossip: gossipFromWire(wire.gossip),
  };
}

function settingsFromWire(settings: Record<string, string>): Record<string, string> {
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

function gossipToWire({ changes, rumors }: Gossip): MessageInitShape<typeof GossipSchema> {
  return {
    stateChanges: changes.map(({ member, reporterId }) => ({ member: memberToWire(member), reporterId })),
    invalidations: rumors.filter((rumor) => rumor.kind === "invalidation").map(invalidationToWire),
    chunkAnnouncements: rumors.filter((rumor) => rumor.kind === "announcement").map(announcementToWire),
  };
}

function gossipFromWire(wire: WireGossip | undefined): Gossip {
  if (!wire) return { changes: [], rumors: [] };
  const { stateChanges, invalidations, chunkAnnouncements } = wire;
  const count = invalidations.length + chunkAnnouncements.length;
  if (count > rumorsMax) throw malformed(`it has ${count} rumors, at most ${rumorsMax} are taken`);
  const changes = stateChanges.map(({ member, reporterId }) => ({
    member: memberFromWire(member, "the member of a change"),
    reporterId,
  }));
  const rumors: Rumor[] = invalidations.map(invalidationFromWire);
  for (const announcement of chunkAnnouncements) rumors.push(announcementFromWire(announcement));
  return { changes, rumors };
}
