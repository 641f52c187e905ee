/**
 * `npm run sim -- --seed N` replays one seed and prints its trace; `--from N --count M` tries many, and stops at the
 * first that fails.
 */
import { parseArgs } from "node:util";
import { ClusterSimulation } from "./cluster-simulation.ts";
import { simulate } from "./simulate.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    from: { type: "string", default: "1" },
    count: { type: "string", default: "100" },
  },
});

if (values.seed !== undefined) {
  const simulation = new ClusterSimulation({ seed: Number(values.seed) });
  try {
    await simulation.run();
  } finally {
    console.log(simulation.trace.lines.join("\n"));
  }
} else {
  const from = Number(values.from);
  const startedMs = performance.now();
  const sums = new Map<string, number>();
  for (let seed = from; seed < from + Number(values.count); seed += 1) {
    const { counts } = await simulate({ seed });
    for (const [what, count] of Object.entries(counts)) sums.set(what, (sums.get(what) ?? 0) + count);
  }
  for (const [what, sum] of sums) console.log(`${what}: ${sum}`);
  console.log(`${values.count} seeds from ${from}: ${Math.round(performance.now() - startedMs)} ms`);
}
