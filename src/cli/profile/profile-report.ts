/** What `orca profile` prints: how busy each thread was or what it allocated, and in what functions. */
import { formatBytes } from "../../base/units.ts";
import type { ProfileKind } from "../../ops/profile/profiler.ts";
import { counted, formatTable, printable } from "../table.ts";

interface CallFrame {
  readonly functionName: string;
}

/** A `.cpuprofile`. Each sample is the id of a node. */
interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  readonly samples?: readonly number[];
}

/** A node of a `.heapprofile`. */
interface HeapNode {
  readonly callFrame: CallFrame;
  readonly selfSize: number;
  readonly children?: readonly HeapNode[];
}

/** The document of `/profile`. */
export interface ProfileAnswer {
  readonly kind: ProfileKind;
  readonly seconds: number;
  readonly threads: readonly {
    readonly thread: string;
    readonly profile?: object;
    readonly fault?: string;
  }[];
}

export interface WrittenProfile {
  readonly thread: string;
  readonly file: string;
  readonly bytes: number;
}

const functionsShown = 3;

/** Several lines, with a line end after the last. Empty without a profile. */
export function profileReport(
  { kind, threads }: ProfileAnswer,
  written: readonly WrittenProfile[],
  folder: string,
): string {
  if (written.length === 0) return "";
  const recorded = threads.flatMap(({ thread, profile }) =>
    profile === undefined ? [] : [{ thread, parts: partsOf(kind, profile) }],
  );
  const allParts = recorded.reduce((sum, { parts }) => sum + activeOf(parts), 0);
  const rows = recorded.map(({ thread, parts }) => {
    const active = activeOf(parts);
    const amount = kind === "cpu" ? percent(active, active + parts.idle) : formatBytes(active);
    // What an idle thread did is the profile itself.
    const isIdle = kind === "cpu" && active < (active + parts.idle) / 100;
    return [thread, amount, percent(active, allParts), isIdle ? "" : mostlyIn(parts)];
  });
  const table = formatTable(["thread", kind === "cpu" ? "busy" : "holds", "share", "mostly in"], rows);
  const bytes = written.reduce((sum, each) => sum + each.bytes, 0);
  const tab = kind === "cpu" ? "Performance" : "Memory";
  const end = `Wrote ${counted(written.length, "profile")} (${formatBytes(bytes)}) into ${printable(folder)}. Load each in the tab ${tab} of Chrome DevTools.`;
  return `${table}\n\n${end}\n`;
}

/** A line for each thread without a profile. */
export function faultsReport({ threads }: ProfileAnswer): string {
  return threads
    .filter(({ profile }) => profile === undefined)
    .map(({ thread, fault = "" }) => `Thread "${thread}" has no profile: ${printable(fault)}\n`)
    .join("");
}

interface Parts {
  /** Samples, or bytes, by name of the function, without what it calls. */
  readonly functions: ReadonlyMap<string, number>;
  /** Samples in which the thread waited for work. */
  readonly idle: number;
}

function activeOf({ functions }: Parts): number {
  return [...functions.values()].reduce((sum, part) => sum + part, 0);
}

function mostlyIn(parts: Parts): string {
  const active = activeOf(parts);
  return [...parts.functions]
    .filter(([, part]) => part >= active / 100)
    .sort(([, left], [, right]) => right - left)
    .slice(0, functionsShown)
    .map(([name, part]) => `${name} ${percent(part, active)}`)
    .join(", ");
}

function partsOf(kind: ProfileKind, profile: object): Parts {
  return kind === "cpu" ? cpuParts(profile as CpuProfile) : heapParts(profile as { readonly head: HeapNode });
}

/** The inspector's names for what is no function of JavaScript. */
const meanings: ReadonlyMap<string, string> = new Map([
  ["(program)", "native code and system calls"],
  ["(garbage collector)", "garbage collection"],
  ["(root)", "native code"],
  ["", "anonymous functions"],
]);

function add(functions: Map<string, number>, name: string, part: number): void {
  const known = meanings.get(name) ?? name;
  if (part > 0) functions.set(known, (functions.get(known) ?? 0) + part);
}

/** Samples are counted: the time before the next one includes pauses in which the system ran something else. */
function cpuParts({ nodes, samples = [] }: CpuProfile): Parts {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, callFrame.functionName]));
  const functions = new Map<string, number>();
  let idle = 0;
  for (const sample of samples) {
    const name = names.get(sample) ?? "";
    if (name === "(idle)") idle += 1;
    else add(functions, name, 1);
  }
  return { functions, idle };
}

function heapParts({ head }: { readonly head: HeapNode }): Parts {
  const functions = new Map<string, number>();
  const left = [head];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    add(functions, node.callFrame.functionName, node.selfSize);
    left.push(...(node.children ?? []));
  }
  return { functions, idle: 0 };
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "-" : `${Math.round((100 * part) / whole)}%`;
}
