/**
 * The answer of a replica that is not, by its own view, the coordinator of the requested name. It never asks the
 * coordinator itself, so a request makes one hop, whatever the views say.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { Member } from "./member.ts";

export class NotCoordinator extends OrcaError {
  /** What was asked for. */
  readonly subject: string;
  /** The coordinator by the answerer's view. */
  readonly coordinator: Member;
  /** The answerer's view, for the caller to merge. */
  readonly members: readonly Member[];

  constructor(name: string, coordinator: Member, members: readonly Member[]) {
    super(
      "not_coordinator",
      "membership",
      `Cannot answer for "${name}": "${coordinator.replicaId}" coordinates it`,
    );
    this.subject = name;
    this.coordinator = coordinator;
    this.members = members;
  }
}
