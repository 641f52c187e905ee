/** The self-test of the cachestore, as a start runs it: it puts, reads and deletes an object or a file of its own. */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { OrcaError } from "../../base/orca-error.ts";
import type { Config } from "../../config/config.ts";
import { openCachestore } from "../../replica/cachestore.ts";
import { type DoctorFinding, Findings } from "./doctor-finding.ts";

const closeTimeoutMs = 1000;

const findings = new Findings("cachestore");

export async function cachestoreFindings(
  config: Config,
  clock: Clock,
  logger: Logger,
): Promise<DoctorFinding[]> {
  const opened = openCachestore({ config, clock, logger });
  if (!opened) return [findings.skipped("No cachestore is configured")];
  const { store } = opened;
  try {
    await store.check();
    return [findings.ok(`The ${config.cachestore.driver} cachestore has passed its self-test`)];
  } catch (thrown) {
    if (!(thrown instanceof OrcaError)) throw thrown;
    const remedy =
      "See docs/operations/when-the-store-fails.md#a-replica-does-not-start: a replica does not start until this passes.";
    return [findings.problem(thrown.message, remedy)];
  } finally {
    await store.close(clock.monotonic() + closeTimeoutMs);
  }
}
