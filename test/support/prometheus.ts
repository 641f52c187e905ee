/** A real Prometheus (Debian's), as a process of a test: what it scrapes, and what its API answers. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findOnPath, freePort, TestProcess } from "./process.ts";
import { until } from "./until.ts";

export interface ScrapeJob {
  readonly name: string;
  /** `host:port` of ops listeners. */
  readonly targets: readonly string[];
}

/** One series of an answer; `value` as Prometheus writes it. */
export interface QueriedSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

export interface LoadedRule {
  readonly name: string;
  /** `ok`, or Prometheus could not evaluate it. */
  readonly health: string;
  readonly state: "inactive" | "pending" | "firing";
}

export function prometheusAvailable(): boolean {
  return findOnPath("prometheus") !== undefined && findOnPath("promtool") !== undefined;
}

export class Prometheus {
  readonly #child: TestProcess;
  readonly #endpoint: string;
  readonly #folder: string;

  private constructor(child: TestProcess, endpoint: string, folder: string) {
    this.#child = child;
    this.#endpoint = endpoint;
    this.#folder = folder;
  }

  /** Scrapes every second. Resolves when it answers. */
  static async start(jobs: readonly ScrapeJob[], ruleFile: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "orca-prometheus-"));
    const config = {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: [ruleFile],
      scrape_configs: jobs.map(({ name, targets }) => ({ job_name: name, static_configs: [{ targets }] })),
    };
    const file = join(folder, "prometheus.yaml");
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(config));
    const address = `127.0.0.1:${await freePort()}`;
    const child = new TestProcess("prometheus", "prometheus", [
      `--config.file=${file}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${address}`,
    ]);
    const prometheus = new Prometheus(child, `http://${address}`, folder);
    await until(async () => {
      if (!child.running) throw child.failure("ended");
      const ready = await fetch(`http://${address}/-/ready`).catch(() => undefined);
      await ready?.arrayBuffer();
      return ready?.ok === true;
    });
    return prometheus;
  }

  /** @throws Error with Prometheus's own words where it cannot read the query. */
  async query(query: string): Promise<QueriedSeries[]> {
    const data = await this.#get(`/api/v1/query?${new URLSearchParams({ query }).toString()}`);
    return (data as { readonly result: QueriedSeries[] }).result;
  }

  async rules(): Promise<LoadedRule[]> {
    const { groups } = (await this.#get("/api/v1/rules")) as {
      readonly groups: readonly { readonly rules: readonly LoadedRule[] }[];
    };
    return groups.flatMap(({ rules }) => rules);
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.#endpoint}${path}`);
    const answer = (await response.json()) as { status: string; data: unknown; error?: string };
    if (answer.status !== "success") throw new Error(`${path}: ${answer.error}`);
    return answer.data;
  }
}
