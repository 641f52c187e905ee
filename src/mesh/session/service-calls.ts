/**
 * The part that all services behind Connect share: it counts calls, and sends each error with its meaning. Connect
 * turns every exception into an answer. A bug must end the process instead, so a failed assertion is thrown once more
 * where nothing catches it.
 */
import { AssertionFailure } from "../../base/assert.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type Subject, toConnectError } from "../codec/connect-error.ts";

export class ServiceCalls {
  readonly stats = {
    calls: 0,
    /** Ended by any error that the next two do not count. */
    failed: 0,
    /** Ended because the request was invalid. */
    malformed: 0,
    /** Ended because another replica is the coordinator. */
    notCoordinator: 0,
  };

  /** Resolves with the result of `handle`. @throws ConnectError with details. A NotCoordinator names `subject`. */
  async answer<Answer>(handle: () => Answer | Promise<Answer>, subject?: Subject): Promise<Answer> {
    this.stats.calls += 1;
    try {
      return await handle();
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
