/** Errors as they go from thread to thread: a structured clone would keep neither the class nor the fields. */
import { type ErrorCode, type ErrorSource, OrcaError } from "../../base/orca-error.ts";
import type { Member } from "../../membership/member.ts";
import { NotCoordinator } from "../../membership/not-coordinator.ts";
import { Absence } from "../../object/versions/absence.ts";
import { OriginAnswer } from "../../origin/error-of-status.ts";
import type { DeleteMarker, ObjectLocation } from "../../origin/origin.ts";

export interface SentError {
  readonly code: ErrorCode;
  readonly source: ErrorSource;
  readonly message: string;
  readonly retryAfterSeconds: number | undefined;
  /** Messages of its causes, the nearest first. */
  readonly causes: readonly string[];
  readonly absence?: { readonly location: ObjectLocation; readonly marker: DeleteMarker | undefined };
  readonly elsewhere?: {
    readonly subject: string;
    readonly coordinator: Member;
    readonly members: readonly Member[];
  };
  readonly answer?: Pick<OriginAnswer, "status" | "remoteCode" | "region">;
}

const causesMax = 5;

/** `location`: of the object that the error is about, where it is about one. */
export function sentError(thrown: unknown, location?: ObjectLocation): SentError {
  const error = OrcaError.from(thrown, "internal", "edge", "Cannot answer a thread");
  const { code, source, message, retryAfterSeconds } = error;
  const sent = { code, source, message, retryAfterSeconds, causes: causesOf(error) };
  if (error instanceof Absence && location) return { ...sent, absence: { location, marker: error.marker } };
  if (error instanceof NotCoordinator) {
    const { subject, coordinator, members } = error;
    return { ...sent, elsewhere: { subject, coordinator, members } };
  }
  if (!(error instanceof OriginAnswer)) return sent;
  const { status, remoteCode, region } = error;
  return { ...sent, answer: { status, remoteCode, region } };
}

export function receivedError(sent: SentError): OrcaError {
  const { code, source, message, retryAfterSeconds, absence, answer, elsewhere } = sent;
  if (absence) return Absence.of(absence.location, absence.marker);
  if (elsewhere) return new NotCoordinator(elsewhere.subject, elsewhere.coordinator, elsewhere.members);
  const cause = sent.causes.reduceRight<Error | undefined>(
    (inner, text) => new Error(text, inner && { cause: inner }),
    undefined,
  );
  const options = {
    ...(cause && { cause }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  };
  if (answer) return new OriginAnswer(code, message, answer.status, { ...options, ...answer });
  return new OrcaError(code, source, message, options);
}

function causesOf(error: Error): string[] {
  const causes: string[] = [];
  for (let { cause } = error; cause instanceof Error && causes.length < causesMax; { cause } = cause) {
    causes.push(cause.message);
  }
  return causes;
}
