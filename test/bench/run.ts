/**
 * `npm run bench`: Orca beside a bare node:http server with the same bytes in RAM (the ceiling) and, where installed,
 * nginx, Varnish and Traffic Server. Everything is started here, servers on the first core and clients on the second, and
 * what counts are the ratios of one run. `npm run bench -- hot` runs one part; `--json` and `--markdown` choose the form.
 */
import { spawnSync } from "node:child_process";
import { pid } from "node:process";
import { parseArgs } from "node:util";
import { Bench } from "./bench.ts";
import { canPin, clientCore } from "./contender.ts";
import { parts } from "./parts.ts";
import { Report } from "./report.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, markdown: { type: "boolean", default: false } },
});
const unknown = positionals.filter((name) => !(name in parts));
if (unknown.length > 0)
  throw new Error(`unknown part ${unknown.join(", ")}: choose from ${Object.keys(parts).join(", ")}`);

const report = new Report(values.json ? "json" : values.markdown ? "markdown" : "text");
if (canPin) spawnSync("taskset", ["-cp", clientCore, String(pid)]);
else report.note("taskset is not installed: servers and clients share all cores, which adds noise");
const bench = await Bench.start(report);
try {
  for (const [name, part] of Object.entries(parts)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    await part(bench);
    await bench.stopServers();
  }
  report.end();
} finally {
  await bench.end();
}
