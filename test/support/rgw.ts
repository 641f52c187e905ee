/**
 * A real S3 service for tests: one Ceph RGW with a monitor and an OSD of its own, all on 127.0.0.1, without systemd
 * and without authentication between the three. Objects live in the OSD's memory (memstore), so it is up in about two
 * seconds and has nothing to save when it is killed. Any number of them run side by side, each on its own ports.
 *
 * Debian: `apt-get install --no-install-recommends radosgw ceph-mon ceph-osd`. Where `radosgw` is not on the PATH,
 * suites for RGW run against the in-repo S3 server instead and say so in their names.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findOnPath, freePort, run, TestProcess } from "./process.ts";

const launchesMax = 3;
const startTimeoutMs = 30_000;

export interface Rgw {
  /** `http://127.0.0.1:<port>`, path style. */
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Starts another gateway to the same objects. @returns its endpoint. */
  addGateway(): Promise<string>;
  /** Ends the first gateway as a crash would. The objects stay. */
  killGateway(): Promise<void>;
  /** Starts it again at its endpoint. */
  startGateway(): Promise<void>;
  /** SIGSTOP, for a gateway that takes connections and says nothing, and SIGCONT. */
  signalGateway(signal: "SIGSTOP" | "SIGCONT"): void;
  /** `radosgw-admin`. */
  admin(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
}

export function rgwAvailable(): boolean {
  return ["radosgw", "radosgw-admin", "ceph-mon", "ceph-osd", "ceph", "monmaptool"].every(findOnPath);
}

/** Starts a gateway; one launch may lose its ports to another test process, so it tries again with other ones. */
export async function startRgw(): Promise<Rgw> {
  for (let launch = 1; ; launch += 1) {
    const gateway = new Gateway(await freePort(), await freePort());
    try {
      await gateway.start();
      return gateway;
    } catch (error) {
      await gateway.stop();
      if (launch === launchesMax) throw error;
    }
  }
}

class Gateway implements Rgw {
  readonly endpoint: string;
  readonly accessKey = "orcatest";
  readonly secretKey = randomBytes(20).toString("hex");
  readonly #directory = mkdtempSync(join(tmpdir(), "orca-rgw-"));
  readonly #monitorPort: number;
  readonly #port: number;
  readonly #daemons: TestProcess[] = [];
  #gateway: TestProcess | undefined;
  readonly #removeDirectory = (): void => rmSync(this.#directory, { recursive: true, force: true });

  constructor(monitorPort: number, port: number) {
    this.#monitorPort = monitorPort;
    this.#port = port;
    this.endpoint = `http://127.0.0.1:${port}`;
    process.once("exit", this.#removeDirectory);
  }

  async start(): Promise<void> {
    const directory = this.#directory;
    const clusterId = randomUUID();
    const osdId = randomUUID();
    const config = join(directory, "ceph.conf");
    const monitorMap = join(directory, "monmap");
    for (const name of ["mon", "osd", "run"]) mkdirSync(join(directory, name));
    writeFileSync(config, cephConfig(directory, clusterId, this.#monitorPort, this.#port));

    const monitorAddress = `[v2:127.0.0.1:${this.#monitorPort}]`;
    await run("monmaptool", ["--create", "--fsid", clusterId, "--addv", "a", monitorAddress, monitorMap]);
    await run("ceph-mon", ["-c", config, "-i", "a", "--mkfs", "--monmap", monitorMap]);
    const monitor = this.#daemon("ceph-mon", ["-c", config, "-i", "a", "-f"]);
    await this.#while(monitor, run("ceph", ["-c", config, "--connect-timeout", "10", "osd", "new", osdId]));
    await run("ceph-osd", ["-c", config, "-i", "0", "--mkfs", "--osd-uuid", osdId]);
    const osd = this.#daemon("ceph-osd", ["-c", config, "-i", "0", "-f"]);
    // Creates the pools too, and blocks until the OSD is up.
    const user = [
      "--uid=orca",
      "--display-name=orca",
      `--access-key=${this.accessKey}`,
      `--secret-key=${this.secretKey}`,
    ];
    await this.#while(osd, this.admin("user", "create", ...user));
    await this.startGateway();
  }

  async startGateway(): Promise<void> {
    const config = join(this.#directory, "ceph.conf");
    this.#gateway = this.#daemon("radosgw", ["-c", config, "-n", "client.rgw", "-f"]);
    await this.#while(this.#gateway, answers(this.endpoint));
  }

  async killGateway(): Promise<void> {
    await this.#gateway?.stop();
  }

  signalGateway(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#gateway?.signal(signal);
  }

  admin(...args: readonly string[]): Promise<string> {
    return run("radosgw-admin", ["-c", join(this.#directory, "ceph.conf"), "-n", "client.rgw", ...args]);
  }

  async addGateway(): Promise<string> {
    const port = await freePort();
    const config = join(this.#directory, "ceph.conf");
    const frontend = `--rgw-frontends=${frontendAt(port)}`;
    const gateway = this.#daemon("radosgw", ["-c", config, "-n", "client.rgw", "-f", frontend]);
    const endpoint = `http://127.0.0.1:${port}`;
    await this.#while(gateway, answers(endpoint));
    return endpoint;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#daemons.map((daemon) => daemon.stop()));
    process.removeListener("exit", this.#removeDirectory);
    this.#removeDirectory();
  }

  #daemon(command: string, args: readonly string[]): TestProcess {
    const daemon = new TestProcess(command, command, args);
    this.#daemons.push(daemon);
    return daemon;
  }

  /** The work's outcome, unless the daemon it depends on ends first. */
  #while(daemon: TestProcess, work: Promise<unknown>): Promise<unknown> {
    return Promise.race([
      work,
      daemon.exited.then((code) => Promise.reject(daemon.failure(`ended with ${code} while starting`))),
    ]);
  }
}

async function answers(endpoint: string): Promise<void> {
  const deadlineMs = performance.now() + startTimeoutMs;
  for (;;) {
    try {
      const response = await fetch(endpoint);
      await response.arrayBuffer();
      if (response.ok) return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
    await sleep(20);
  }
}

function frontendAt(port: number): string {
  return `beast endpoint=127.0.0.1:${port} tcp_nodelay=1`;
}

function cephConfig(directory: string, clusterId: string, monitorPort: number, gatewayPort: number): string {
  return `\
[global]
fsid = ${clusterId}
mon initial members = a
mon host = [v2:127.0.0.1:${monitorPort}/0]
public network = 127.0.0.0/8
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
run dir = ${directory}/run
crash dir = ${directory}/run
admin socket =
pid file =
log file =
log to stderr = true
err to stderr = true
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon max pg per osd = 1000
mon osd min up ratio = 0
paxos propose interval = 0.05
paxos min wait = 0.02
mon tick interval = 1
[mon.a]
host = localhost
mon data = ${directory}/mon
mon data avail crit = 1
[osd]
osd data = ${directory}/osd
osd objectstore = memstore
memstore device bytes = 8589934592
memstore page set = false
osd class load list = *
osd class default list = *
osd mclock force run benchmark on init = false
osd op queue = wpq
[client.rgw]
rgw frontends = ${frontendAt(gatewayPort)}
rgw data = ${directory}/run
rgw enable usage log = false
rgw gc processor period = 600
rgw dynamic resharding = false
rgw enable lc threads = false
rgw run sync thread = false
rgw override bucket index max shards = 1
`;
}
