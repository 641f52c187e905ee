/**
 * Errors between an OrcaError and a ConnectError, the same for every RPC. A ConnectError's own code is for tools; what
 * an error means to another replica is in its ErrorDetail. So an error without one is not Orca's word but the
 * transport's, and says only that this peer did not answer: whatever its code, somebody else may be asked.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  ConfigurationMismatchSchema,
  ErrorDetailSchema,
  NotCoordinatorSchema,
  type ConfigurationMismatch as WireMismatch,
  type NotCoordinator as WireNotCoordinator,
} from "../../../gen/orca/v1/errors_pb.ts";
import { AssertionFailure } from "../../base/assert.ts";
import { errorTable } from "../../base/error-table.ts";
import { type ErrorCode, OrcaError } from "../../base/orca-error.ts";
import { ConfigurationMismatch } from "../../membership/agreed-settings.ts";
import { checkMember, isLive, type Member } from "../../membership/member.ts";
import { NotCoordinator } from "../../membership/not-coordinator.ts";
import { errorDetailOf, errorMessageBytesMax, errorOfDetail } from "./error-detail.ts";
import { decodeMember, encodeMember } from "./member-codec.ts";
import { malformed, textWithin } from "./message-field.ts";

/** What was asked for, which a NotCoordinator tells: a chunk and its object's size, or an object. */
export type Subject = Pick<
  MessageInitShape<typeof NotCoordinatorSchema>,
  "chunkKey" | "objectSize" | "object"
>;

/**
 * What is nearest to an error of a code that only a newer replica knows. In doubt it is one on which the caller goes
 * elsewhere: a 404 that was made up would be worse than a detour.
 */
const nearestCodes: Readonly<Record<Code, ErrorCode>> = {
  [Code.Canceled]: "peer_unavailable",
  [Code.Unknown]: "internal",
  [Code.InvalidArgument]: "invalid_argument",
  [Code.DeadlineExceeded]: "request_timeout",
  [Code.NotFound]: "not_held",
  [Code.AlreadyExists]: "internal",
  [Code.PermissionDenied]: "origin_denied",
  [Code.ResourceExhausted]: "overloaded",
  [Code.FailedPrecondition]: "internal",
  [Code.Aborted]: "origin_etag_changed",
  [Code.OutOfRange]: "invalid_argument",
  [Code.Unimplemented]: "peer_unavailable",
  [Code.Internal]: "internal",
  [Code.Unavailable]: "peer_unavailable",
  [Code.DataLoss]: "internal",
  [Code.Unauthenticated]: "internal",
};

/** Bytes of members in a NotCoordinator: with the rest of an error, and in base64, they fit the headers of gRPC. */
const membersBytesMax = 3 * 1024;

/** As many members as any view holds. */
const membersMax = 1024;

/** Of a setting's path and values. */
const settingBytesMax = 256;

/**
 * `thrown` as a peer is told it. What is no OrcaError is `internal`.
 * @throws AssertionFailure as it was: a bug is not an answer.
 */
export function toConnectError(thrown: unknown, subject?: Subject): ConnectError {
  if (thrown instanceof ConnectError) return withDetail(thrown);
  const error = OrcaError.from(thrown, "internal", "mesh", "Cannot answer a peer");
  const detail = { desc: ErrorDetailSchema, value: errorDetailOf(error) };
  const message = textWithin(error.message, errorMessageBytesMax);
  return new ConnectError(
    message,
    Code[errorTable[error.code].connectCode],
    undefined,
    [detail, ...specialDetails(error, subject)],
    error,
  );
}

/**
 * `thrown` by a call as the OrcaError that it was at the peer, or else `peer_unavailable`. `action` is what failed, such
 * as `Cannot ping r2.test:8444`. @throws AssertionFailure as it was.
 */
export function fromConnectError(thrown: unknown, action: string): OrcaError {
  if (!(thrown instanceof ConnectError)) return OrcaError.from(thrown, "peer_unavailable", "mesh", action);
  if (thrown.cause instanceof AssertionFailure) throw thrown.cause;
  const [notCoordinator] = thrown.findDetails(NotCoordinatorSchema);
  if (notCoordinator) return notCoordinatorFrom(notCoordinator, action, thrown);
  const [mismatch] = thrown.findDetails(ConfigurationMismatchSchema);
  if (mismatch) return mismatchFrom(mismatch, action, thrown);
  const [detail] = thrown.findDetails(ErrorDetailSchema);
  const message = `${action}: ${textWithin(detail?.message ?? thrown.rawMessage, errorMessageBytesMax)}`;
  // To be told that others are to be asked, and not who, is to be told nothing.
  if (!detail || detail.code === "not_coordinator") {
    return new OrcaError("peer_unavailable", "mesh", message, { cause: thrown });
  }
  return (
    errorOfDetail(detail, thrown) ??
    new OrcaError(nearestCodes[thrown.code] ?? "internal", "mesh", message, { cause: thrown })
  );
}

/** What a part of the mesh itself says with a bare code gets its detail here. */
function withDetail(error: ConnectError): ConnectError {
  if (error.findDetails(ErrorDetailSchema).length > 0) return error;
  const message = textWithin(error.rawMessage, errorMessageBytesMax);
  const value = { code: nearestCodes[error.code], source: "mesh", message };
  return new ConnectError(message, error.code, undefined, [{ desc: ErrorDetailSchema, value }], error);
}

type OutgoingDetails = NonNullable<ConstructorParameters<typeof ConnectError>[3]>;

function specialDetails(error: OrcaError, subject: Subject | undefined): OutgoingDetails {
  if (error instanceof NotCoordinator) {
    const { coordinator, members } = error;
    const value = {
      ...subject,
      coordinator: encodeMember(coordinator),
      members: membersWithin(members, coordinator).map(encodeMember),
    };
    return [{ desc: NotCoordinatorSchema, value }];
  }
  if (error instanceof ConfigurationMismatch) {
    const value = {
      setting: textWithin(error.setting, settingBytesMax),
      answererValue: textWithin(error.selfValue, settingBytesMax),
      callerValue: textWithin(error.peerValue, settingBytesMax),
    };
    return [{ desc: ConfigurationMismatchSchema, value }];
  }
  return [];
}

/**
 * The members that have room: the coordinator first, because it is the one the caller did not know or held for dead,
 * then those that live. The others are brought by the next exchange of views.
 */
function membersWithin(members: readonly Member[], coordinator: Member): Member[] {
  const weight = (member: Member): number =>
    (member.replicaId === coordinator.replicaId ? 2 : 0) + (isLive(member) ? 1 : 0);
  const taken: Member[] = [];
  let bytes = 0;
  for (const member of [...members].sort((left, right) => weight(right) - weight(left))) {
    const { replicaId, address, zone, fingerprint, clusterName } = member;
    bytes += 32 + Buffer.byteLength(replicaId + address + zone + fingerprint + clusterName);
    if (bytes > membersBytesMax) break;
    taken.push(member);
  }
  return taken;
}

function notCoordinatorFrom(wire: WireNotCoordinator, action: string, cause: ConnectError): OrcaError {
  try {
    if (wire.members.length > membersMax) throw malformed(`it has ${wire.members.length} members`);
    const coordinator = decodeMember(wire.coordinator, "the coordinator");
    const members = wire.members.map((member) => decodeMember(member, "a member"));
    for (const member of [coordinator, ...members]) checkMember(member);
    return new NotCoordinator(textWithin(subjectName(wire), errorMessageBytesMax), coordinator, members);
  } catch (thrown) {
    if (thrown instanceof AssertionFailure) throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new OrcaError("peer_unavailable", "mesh", `${action}: ${reason}`, { cause });
  }
}

function subjectName({ chunkKey, object }: WireNotCoordinator): string {
  if (object) return `${object.originId}/${object.bucket}/${object.objectKey}`;
  if (!chunkKey) return "what was asked for";
  return `${chunkKey.originId}/${chunkKey.bucket}/${chunkKey.objectKey} chunk ${chunkKey.chunkIndex}`;
}

/**
 * The answerer's refusal as the caller logs it. It is not a ConfigurationMismatch again, because that one names the other
 * replica, which a caller that is still joining knows by its address alone; `action` has that.
 */
function mismatchFrom(wire: WireMismatch, action: string, cause: ConnectError): OrcaError {
  const [setting, theirs, ours] = [wire.setting, wire.answererValue, wire.callerValue].map((value) =>
    textWithin(value, settingBytesMax),
  );
  return new OrcaError(
    "config_invalid",
    "membership",
    `${action}: ${setting} is "${theirs}" there and "${ours}" here`,
    { cause },
  );
}
