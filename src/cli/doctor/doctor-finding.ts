/** What `orca doctor` finds: one sentence about one thing, and what to do about it. */

/** `skipped`: it could not be looked at, or another finding says why already. */
export type FindingStatus = "ok" | "warning" | "problem" | "skipped";

export interface DoctorFinding {
  readonly check: string;
  readonly status: FindingStatus;
  readonly what: string;
  /** Empty where nothing is to be done. */
  readonly remedy: string;
}

/** Makes the findings of one check. */
export class Findings {
  readonly #check: string;

  constructor(check: string) {
    this.#check = check;
  }

  ok(what: string): DoctorFinding {
    return this.#of("ok", what, "");
  }

  warning(what: string, remedy: string): DoctorFinding {
    return this.#of("warning", what, remedy);
  }

  problem(what: string, remedy: string): DoctorFinding {
    return this.#of("problem", what, remedy);
  }

  skipped(what: string): DoctorFinding {
    return this.#of("skipped", what, "");
  }

  #of(status: FindingStatus, what: string, remedy: string): DoctorFinding {
    return { check: this.#check, status, what, remedy };
  }
}
