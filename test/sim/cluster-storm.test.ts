/** Clusters in which anything goes wrong at once, the origin included. See cluster-checks.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inThread } from "../support/thread.ts";
import { scenarioKinds } from "./scenario.ts";
import { seedOf, simulate, simulateMany } from "./simulate.ts";

const simulation = import.meta.resolve("./simulate.ts");

test("a cluster where anything goes wrong: never a wrong byte, nobody staler than a TTL, no leak, no hang", () =>
  inThread(simulation, simulateMany, "storm", 200));

for (const kind of scenarioKinds) {
  test(`a simulation of a seed does the same again, to the last message: ${kind}`, async () => {
    const seed = seedOf(kind, 3);
    const first = await simulate({ seed });
    const second = await simulate({ seed });
    assert.deepEqual(second.trace.lines, first.trace.lines);
  });
}
