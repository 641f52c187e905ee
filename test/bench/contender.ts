/**
 * A server under test: a child process pinned to the first core where `taskset` exists, whose CPU time and peak memory
 * are read from /proc, so that all contenders are measured by the operating system and not by themselves.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { execPath } from "node:process";

const ticksPerSecond = 100;
const serverCore = "0";
export const clientCore = "1";
export const canPin = spawnSync("taskset", ["-V"]).status === 0;

export interface Contender {
  readonly name: string;
  readonly port: number;
  /** CPU seconds of the server and its children so far. */
  cpuSeconds(): number;
  peakRssBytes(): number;
  stop(): Promise<void>;
}

export interface Launch {
  readonly name: string;
  readonly port: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly core?: string;
  readonly cwd?: string;
  /** Where what it prints is kept; thrown away by default. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A port nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}

export async function start(launch: Launch): Promise<Contender> {
  const pinned = canPin ? ["taskset", "-c", launch.core ?? serverCore, launch.command] : [launch.command];
  const [command, ...prefix] = pinned as [string, ...string[]];
  const child = spawn(command, [...prefix, ...launch.args], {
    stdio: ["ignore", "inherit", "inherit"],
    ...(launch.cwd !== undefined && { cwd: launch.cwd }),
    ...(launch.env && { env: { ...process.env, ...launch.env } }),
  });
  await waitForPort(launch.port, child);
  return {
    name: launch.name,
    port: launch.port,
    cpuSeconds: () => processTree(child.pid as number).reduce((sum, pid) => sum + cpuSecondsOf(pid), 0),
    peakRssBytes: () => Math.max(...processTree(child.pid as number).map(peakRssOf)),
    stop: () => stop(child),
  };
}

/** A TypeScript file of this repository as a contender, under the node that runs the bench. */
export function startNode(
  name: string,
  port: number,
  args: readonly string[],
  core = serverCore,
): Promise<Contender> {
  return start({ name, port, command: execPath, args, core });
}

/**
 * nginx as a slicing cache, tuned: one worker, `tcp_nopush off` (else ranges show a 40 ms artefact), slices of 8 MiB,
 * open files cached, no access log. Undefined where it is not installed.
 */
export async function startNginx(originPort: number, folder: string): Promise<Contender | undefined> {
  if (!existsSync("/usr/sbin/nginx")) return undefined;
  const port = await freePort();
  mkdirSync(join(folder, "cache"), { recursive: true });
  // The worker is another user, and the cache is its own.
  chmodSync(folder, 0o777);
  chmodSync(join(folder, "cache"), 0o777);
  const config = join(folder, "nginx.conf");
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log /dev/null crit;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush off; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s;
  open_file_cache max=10000 inactive=600s; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/cache-temp;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=bench:64m max_size=64g inactive=24h use_temp_path=off;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / {
      slice 8m; proxy_cache bench; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache_valid 200 206 24h;
      proxy_buffers 16 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 128k; proxy_pass http://origin;
    }
  }
}
`,
  );
  return start({
    name: "nginx",
    port,
    command: "/usr/sbin/nginx",
    args: ["-c", config, "-e", "/dev/null", "-p", folder],
  });
}

async function waitForPort(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null)
      throw new Error(`the server on port ${port} ended with code ${child.exitCode}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1" });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nobody listened on port ${port} within 10 s`);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const killer = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await ended;
  clearTimeout(killer);
}

/** The process and its descendants: nginx does its work in a child. */
function processTree(root: number): number[] {
  const tree = [root];
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (/^\d+$/.test(name)) parents.set(Number(name), parentOf(Number(name)));
  }
  for (let index = 0; index < tree.length; index += 1) {
    for (const [pid, parent] of parents) if (parent === tree[index]) tree.push(pid);
  }
  return tree;
}

/** Fields of /proc/PID/stat from the state on; the name before it may hold spaces. */
function statOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

function parentOf(pid: number): number {
  return Number(statOf(pid)[1] ?? 0);
}

function cpuSecondsOf(pid: number): number {
  const stat = statOf(pid);
  return (Number(stat[11] ?? 0) + Number(stat[12] ?? 0)) / ticksPerSecond;
}

function peakRssOf(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}
