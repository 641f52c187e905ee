/**
 * What the services that Connect serves have in common: an error goes out with its meaning, and is counted. Connect makes
 * an answer of everything that is thrown; a bug must end the process instead, so it is thrown once more where nobody
 * catches it.
 */
import { AssertionFailure } from "../../base/assert.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type Subject, toConnectError } from "../codec/connect-error.ts";

export class ServiceCalls {
  readonly stats = {
    calls: 0,
    /** Ended by an error other than the next. */
    failed: 0,
    /** Ended because what was asked makes no sense. */
    malformed: 0,
    /** Ended because another replica is to be asked. */
    notCoordinator: 0,
  };

  /** What `give` resolves with. @throws ConnectError with details; `subject` is for a NotCoordinator. */
  async answer<Answer>(give: () => Answer | Promise<Answer>, subject?: Subject): Promise<Answer> {
    this.stats.calls += 1;
    try {
      return await give();
    } catch (thrown) {
      if (thrown instanceof AssertionFailure) {
        queueMicrotask(() => {
          throw thrown;
        });
      }
      const code = thrown instanceof OrcaError ? thrown.code : "internal";
      if (code === "invalid_argument") this.stats.malformed += 1;
      else if (code === "not_coordinator") this.stats.notCoordinator += 1;
      else this.stats.failed += 1;
      throw toConnectError(thrown, subject);
    }
  }
}
