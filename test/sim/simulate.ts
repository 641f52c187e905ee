/**
 * Runs one seed to its end, and says how to see it again where it fails. Segments are shared memory, which V8 does not
 * count: without a collection now and then, the clusters of the seeds before would fill the machine.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { ClusterSimulation, type ClusterSimulationOptions } from "./cluster-simulation.ts";
import { type ScenarioKind, scenarioKinds } from "./scenario.ts";

const linesShown = 80;
const seedsPerCollection = 8;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;
let seedsRun = 0;

/** @throws Error that holds the end of the trace and the command that replays the seed. */
export async function simulate(options: ClusterSimulationOptions): Promise<ClusterSimulation> {
  seedsRun += 1;
  if (seedsRun % seedsPerCollection === 0) collectGarbage();
  const simulation = new ClusterSimulation(options);
  // A rejection that nobody hears, such as a failed assertion in a flight, belongs to the seed that it happened in.
  const onUnhandled = (thrown: unknown): void => simulation.fail(thrown);
  process.on("unhandledRejection", onUnhandled);
  try {
    await simulation.run();
    return simulation;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `Seed ${options.seed} fails: ${reason}\n\n${simulation.trace.tail(linesShown)}\n\n` +
        `npm run sim -- --seed ${options.seed}`,
      { cause },
    );
  } finally {
    simulation.stop();
    process.off("unhandledRejection", onUnhandled);
  }
}

/** Seed `number` of those whose scenario is of this kind. */
export function seedOf(kind: ScenarioKind, number: number): number {
  return number * scenarioKinds.length + scenarioKinds.indexOf(kind);
}

/** @throws as {@link simulate} does, at the first seed that fails. */
export async function simulateMany(kind: ScenarioKind, seeds: number): Promise<void> {
  for (let number = 0; number < seeds; number += 1) await simulate({ seed: seedOf(kind, number) });
}
