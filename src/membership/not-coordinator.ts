/**
 * "Ask somebody else": what a replica answers that is not, by its own view, the coordinator of what it was asked for.
 * It never asks that other replica itself, so that whatever the views say, a request makes one hop.
 */
import { OrcaError } from "../base/orca-error.ts";
import type { Member } from "./member.ts";

export class NotCoordinator extends OrcaError {
  /** Who should be asked, by the answerer's view. */
  readonly coordinator: Member;
  /** The answerer's view, for the caller to merge. */
  readonly members: readonly Member[];

  constructor(name: string, coordinator: Member, members: readonly Member[]) {
    super(
      "not_coordinator",
      "membership",
      `Cannot answer for "${name}": "${coordinator.replicaId}" coordinates it`,
    );
    this.coordinator = coordinator;
    this.members = members;
  }
}
