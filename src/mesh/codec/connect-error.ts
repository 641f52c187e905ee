/**
 * Converts errors between OrcaError and ConnectError, in the same way for every RPC. The code of a ConnectError is for
 * tools. Other replicas read the ErrorDetail. An error without an ErrorDetail comes from the transport and not from
 * Orca. It says only that the peer did not answer, whatever its code is, so another replica can be asked.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  ConfigurationMismatchSchema,
  ErrorDetailSchema,
  type ConfigurationMismatch as MismatchMessage,
  type NotCoordinator as NotCoordinatorMessage,
  NotCoordinatorSchema,
} from "../../../gen/orca/v1/errors_pb.ts";
import { AssertionFailure } from "../../base/assert.ts";
import { errorTable } from "../../base/error-table.ts";
import { type ErrorCode, OrcaError } from "../../base/orca-error.ts";
import { ConfigurationMismatch, RejectedByPeer } from "../../membership/agreed-settings.ts";
import { checkMember, isLive, type Member } from "../../membership/member.ts";
import { NotCoordinator } from "../../membership/not-coordinator.ts";
import { errorDetailOf, errorMessageBytesMax, errorOfDetail, textWithin } from "./error-detail.ts";
import { decodeMember, encodeMember } from "./member-codec.ts";
import { malformedMessage } from "./message-field.ts";

/** The subject of a request, which a NotCoordinator names: a chunk and its object's size, or an object. */
export type Subject = Pick<
  MessageInitShape<typeof NotCoordinatorSchema>,
  "chunkKey" | "objectSize" | "object"
>;

/**
 * The nearest known codes for an error whose code only a newer replica knows. In doubt it is a code on which the caller
 * asks another replica: a wrong 404 is worse than another request.
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
  [Code.OutOfRange]: "invalid_range",
  [Code.Unimplemented]: "peer_unavailable",
  [Code.Internal]: "internal",
  [Code.Unavailable]: "peer_unavailable",
  [Code.DataLoss]: "internal",
  [Code.Unauthenticated]: "internal",
};

/** Bytes of members in a NotCoordinator. In base64 and with the rest of the error, they fit into gRPC's headers. */
const membersBytesMax = 3 * 1024;

/** The largest number of members in a view. */
const membersMax = 1024;

/** Bytes of a setting's path, and of each of its values. */
const settingBytesMax = 256;

/**
 * Encodes `thrown` for a peer. An exception that is not an OrcaError becomes `internal`.
 * @throws AssertionFailure unchanged: a bug is not an answer.
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
 * Decodes the exception of a call: the peer's OrcaError, or else `peer_unavailable`. `action` begins the message, for
 * example `Cannot ping r2.test:8444`. @throws AssertionFailure unchanged.
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
  // A not_coordinator error that does not name the coordinator is of no use to the caller.
  if (!detail || detail.code === "not_coordinator") {
    return new OrcaError("peer_unavailable", "mesh", message, { cause: thrown });
  }
  return (
    errorOfDetail(detail, thrown) ??
    new OrcaError(nearestCodes[thrown.code] ?? "internal", "mesh", message, { cause: thrown })
  );
}

/** Adds an ErrorDetail to an error that a part of the mesh itself threw, with a code alone. */
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
      answererId: textWithin(error.selfId, settingBytesMax),
    };
    return [{ desc: ConfigurationMismatchSchema, value }];
  }
  return [];
}

/**
 * The members that fit: first the coordinator, which the caller does not know or takes for dead, then live members. The
 * next exchange of views carries the others.
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

function notCoordinatorFrom(message: NotCoordinatorMessage, action: string, cause: ConnectError): OrcaError {
  try {
    if (message.members.length > membersMax) {
      throw malformedMessage(`it has ${message.members.length} members, at most ${membersMax} are accepted`);
    }
    const coordinator = decodeMember(message.coordinator, "the coordinator");
    const members = message.members.map((member) => decodeMember(member, "a member"));
    for (const member of [coordinator, ...members]) checkMember(member);
    return new NotCoordinator(textWithin(subjectName(message), errorMessageBytesMax), coordinator, members);
  } catch (thrown) {
    if (thrown instanceof AssertionFailure) throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new OrcaError("peer_unavailable", "mesh", `${action}: ${reason}`, { cause });
  }
}

function subjectName({ chunkKey, object }: NotCoordinatorMessage): string {
  if (object) return `${object.originId}/${object.bucket}/${object.objectKey}`;
  if (!chunkKey) return "the requested object or chunk";
  return `${chunkKey.originId}/${chunkKey.bucket}/${chunkKey.objectKey} chunk ${chunkKey.chunkIndex}`;
}

/**
 * The peer's ConfigurationMismatch, as the caller logs it. The caller makes no ConfigurationMismatch of its own,
 * because that error names the peer's id. A caller that is still joining knows only the peer's address, which is in
 * `action`.
 */
function mismatchFrom(message: MismatchMessage, action: string, cause: ConnectError): RejectedByPeer {
  const { answererValue, callerValue, answererId } = message;
  const [setting = "", theirs, ours, peerId = ""] = [
    message.setting,
    answererValue,
    callerValue,
    answererId,
  ].map((value) => textWithin(value, settingBytesMax));
  const reason = `${action}: ${setting} is "${theirs}" there and "${ours}" here. Set it to the same value on all replicas.`;
  return new RejectedByPeer(reason, setting, peerId, cause);
}
