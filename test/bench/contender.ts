/**
 * A server under test: a child process pinned to the first core where `taskset` exists, whose CPU time and peak memory
 * are read from /proc, so that all contenders are measured by the operating system and not by themselves.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { execPath } from "node:process";

const ticksPerSecond = 100;
const serverCore = "0";
export const clientCore = "1";
export const allCores = "0,1";
export const canPin = spawnSync("taskset", ["-V"]).status === 0;

/** Gives a child that makes load all cores, instead of the one of the bench, which it inherits. */
export function freeOfCore({ pid }: ChildProcess): void {
  if (canPin) spawnSync("taskset", ["-a", "-c", "-p", allCores, String(pid)]);
}

export interface Contender {
  readonly name: string;
  readonly port: number;
  /** CPU seconds of the server and its children so far. */
  cpuSeconds(): number;
  /** CPU seconds of the main thread of the server, without its children. */
  mainThreadSeconds(): number;
  peakRssBytes(): number;
  stop(): Promise<void>;
}

export interface Launch {
  readonly name: string;
  readonly port: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly core?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Takes what it prints, for one that talks when all is well; the terminal by default. */
  readonly outputFile?: string;
}

/** Makes a folder for a server that leaves root behind and then is a user who owns nothing here. */
export function folderForAnyUser(path: string): string {
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o777);
  return path;
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
  const core = launch.core ?? serverCore;
  const pinned = canPin ? ["taskset", "-c", core, launch.command] : [launch.command];
  const [command, ...prefix] = pinned as [string, ...string[]];
  const printTo = launch.outputFile === undefined ? "inherit" : openSync(launch.outputFile, "w");
  const child = spawn(command, [...prefix, ...launch.args], {
    stdio: ["ignore", printTo, printTo],
    ...(launch.env && { env: { ...process.env, ...launch.env } }),
  });
  if (typeof printTo === "number") closeSync(printTo);
  try {
    await waitForPort(launch.port, child);
  } catch (error) {
    await stop(child);
    const output = launch.outputFile === undefined ? "" : readFileSync(launch.outputFile, "utf8").trim();
    throw new Error(
      `${launch.name} did not start: ${(error as Error).message} ${output.slice(-500)}`.trim(),
      {
        cause: error,
      },
    );
  }
  const pids = (): number[] => processTree(child.pid as number);
  // Once more, thread by thread: Traffic Server lets its net threads go to any core as it starts.
  if (canPin) for (const pid of pids()) spawnSync("taskset", ["-a", "-c", "-p", core, String(pid)]);
  return {
    name: launch.name,
    port: launch.port,
    cpuSeconds: () => pids().reduce((sum, pid) => sum + cpuSecondsOf(pid), 0),
    mainThreadSeconds: () => cpuSecondsOf(`${child.pid}/task/${child.pid}`),
    peakRssBytes: () => Math.max(...pids().map(peakRssOf)),
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

async function waitForPort(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (hasEnded(child)) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`);
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

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function stop(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
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
function statOf(pid: number | string): string[] {
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

function cpuSecondsOf(pid: number | string): number {
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
