/**
 * The context of a distributed trace as W3C's Trace Context has it (https://www.w3.org/TR/trace-context/): the headers
 * `traceparent` and `tracestate`. Where Orca makes no spans (spans/), it sends on what it received, unchanged: what the
 * origin records is then a child of the client's span. A header that breaks the rules is ignored, as the specification asks.
 */

export interface TraceContext {
  /** 32 hex characters in lower case. */
  readonly traceId: string;
  /** 16 of them: the span that this one is below. */
  readonly parentId: string;
  /** Whether the sender records its spans. */
  readonly isSampled: boolean;
  readonly traceparent: string;
  /** Undefined where the client sent none, or one that breaks the rules. */
  readonly tracestate: string | undefined;
}

/** A header as node:http gives it. Two of one name come as one text with a comma, or as a list. */
export type SentHeader = string | readonly string[] | null | undefined;

/** Of version 00. Later versions may only add fields after these. */
const lengthOfVersion00 = 55;
const fields = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/;
const invalidVersion = "ff";
const noTraceId = "0".repeat(32);
const noParentId = "0".repeat(16);

const sampledFlag = 1;

/** A later version may be longer. Beyond this it is no header of ours to carry. */
const traceparentCharactersMax = 256;

/** §3.3.1.1 and §3.3.1.5. */
const stateMembersMax = 32;
const stateCharactersMax = 512;
const longMemberCharacters = 128;

/** What a client may send: more is not looked at. */
const sentStateCharactersMax = 16_384;

const member =
  /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/** Undefined where `traceparent` is not valid. Without a valid one, `tracestate` means nothing. */
export function parseTraceContext(traceparent: SentHeader, tracestate: SentHeader): TraceContext | undefined {
  if (typeof traceparent !== "string" || traceparent.length > traceparentCharactersMax) return undefined;
  const [, version = "", traceId = "", parentId = "", flags = ""] = fields.exec(traceparent) ?? [];
  if (traceId === "" || traceId === noTraceId || parentId === noParentId) return undefined;
  if (version === invalidVersion) return undefined;
  if (version === "00" && traceparent.length !== lengthOfVersion00) return undefined;
  const isSampled = (Number.parseInt(flags, 16) & sampledFlag) !== 0;
  const sent = sentOn(traceparent, version, flags);
  return { traceId, parentId, isSampled, traceparent: sent, tracestate: parseState(tracestate) };
}

/** Of a later version, only what version 00 knows is sent on (§4.3). */
function sentOn(traceparent: string, version: string, flags: string): string {
  if (version === "00") return traceparent;
  const known = Number.parseInt(flags, 16) & sampledFlag;
  return `00${traceparent.slice(2, lengthOfVersion00 - 2)}0${known}`;
}

function parseState(sent: SentHeader): string | undefined {
  const text = typeof sent === "string" || !sent ? sent : sent.join(",");
  if (!text || text.length > sentStateCharactersMax) return undefined;
  const members = text
    .split(",")
    // A tab or a space around a member does not count, and neither does an empty member (§3.3.1.1).
    .map((each) => each.replaceAll(/^[\t ]+|[\t ]+$/g, ""))
    .filter((each) => each !== "");
  if (members.length === 0 || members.length > stateMembersMax) return undefined;
  if (!members.every((each) => member.test(each))) return undefined;
  const keys = new Set(members.map((each) => each.slice(0, each.indexOf("="))));
  return keys.size === members.length ? shortened(members) : undefined;
}

/** Long members go first, then those at the end, which are the oldest. */
function shortened(members: readonly string[]): string | undefined {
  let kept = members;
  if (lengthOf(kept) > stateCharactersMax) kept = kept.filter((each) => each.length <= longMemberCharacters);
  while (lengthOf(kept) > stateCharactersMax) kept = kept.slice(0, -1);
  return kept.length === 0 ? undefined : kept.join(",");
}

function lengthOf(members: readonly string[]): number {
  return members.reduce((total, each) => total + each.length + 1, -1);
}
