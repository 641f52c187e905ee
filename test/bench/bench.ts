/**
 * What the parts of a bench share: the origin, a folder that goes in the end, the servers that run, and the report. All
 * servers are processes of their own, and those of a part end with it.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Contender, clientCore, freePort, startNode } from "./contender.ts";
import { startNginx } from "./nginx.ts";
import { type OrcaOptions, startOrca } from "./orca-config.ts";
import type { Report } from "./report.ts";
import { startTrafficServer } from "./traffic-server.ts";
import { startVarnish } from "./varnish.ts";

export type CacheLauncher = (originPort: number, folder: string) => Promise<Contender | undefined>;
export const cacheLaunchers: readonly CacheLauncher[] = [startNginx, startVarnish, startTrafficServer];

export class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), "orca-bench-"));
  readonly running: Contender[] = [];
  readonly report: Report;
  readonly origin: Contender;

  private constructor(report: Report, origin: Contender) {
    this.report = report;
    this.origin = origin;
    // What the other caches leave to a worker is another user's.
    chmodSync(this.folder, 0o755);
  }

  static async start(report: Report): Promise<Bench> {
    const port = await freePort();
    const args = ["test/bench/bench-origin.ts", String(port)];
    return new Bench(report, await startNode("origin", port, args, clientCore));
  }

  async orca(options: Omit<OrcaOptions, "originPort" | "folder">): Promise<Contender> {
    const orca = await startOrca({ originPort: this.origin.port, folder: this.folder, ...options });
    this.running.push(orca);
    return orca;
  }

  async bareServer(): Promise<Contender> {
    const port = await freePort();
    const bare = await startNode("bare", port, ["test/bench/bare-server.ts", String(port)]);
    this.running.push(bare);
    return bare;
  }

  async bareDisk(name: string, ...mode: string[]): Promise<Contender> {
    const port = await freePort();
    const files = mkdtempSync(join(this.folder, "files-"));
    const args = ["test/bench/bare-disk-server.ts", String(port), files, ...mode];
    const bare = await startNode(name, port, args);
    this.running.push(bare);
    return bare;
  }

  /** The caches that are installed, each with a folder of its own. One that does not start is left out, and said so. */
  async caches(launchers: readonly CacheLauncher[] = cacheLaunchers): Promise<Contender[]> {
    const caches: Contender[] = [];
    for (const launcher of launchers) {
      try {
        const cache = await launcher(this.origin.port, mkdtempSync(join(this.folder, "cache-")));
        if (cache) caches.push(cache);
      } catch (error) {
        this.report.note((error as Error).message);
      }
    }
    this.running.push(...caches);
    return caches;
  }

  async stopServers(): Promise<void> {
    for (const contender of this.running.splice(0)) await contender.stop();
  }

  async end(): Promise<void> {
    await this.stopServers();
    await this.origin.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
