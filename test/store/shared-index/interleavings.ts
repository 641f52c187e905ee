/**
 * Runs the functions of pin-protocol.ts in all interleavings of a few threads, as loom does for Rust. There is no second
 * text of the protocol: its source is turned into generators, which stop before each operation on shared memory, and a
 * scheduler tries every choice of the thread that goes on. Two schedules that lead to equal memory and equal threads are
 * continued once. A thread is known by what it has read since it began.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";

/** More steps than any schedule has, unless a thread runs for ever. */
const stepsMax = 400;

export interface Step {
  /** One of Atomics, or `wait`: goes on when the word is not `value` any more. */
  readonly op: "load" | "store" | "add" | "sub" | "and" | "or" | "exchange" | "notify" | "wait";
  readonly words: Int32Array;
  readonly index: number;
  readonly value: number;
}

export type Thread = Generator<Step, unknown, number>;
type Steps = (...parameters: unknown[]) => Thread;
export type Protocol = Readonly<Record<"pin" | "unpin" | "publish" | "condemn" | "isUnpinned", Steps>>;

/** One start of a scenario: threads that have done nothing yet, and the words that they share. */
export interface World {
  readonly threads: readonly Thread[];
  readonly words: readonly Int32Array[];
  /** Words that only one thread writes: its own reads of them are no choice for the scheduler. */
  readonly ownWords: { readonly words: Int32Array; readonly thread: number };
  /** Called when all threads have ended. Throws where what they left is wrong. */
  readonly atEnd: () => void;
}

const source = readFileSync(
  new URL("../../../src/store/shared-index/pin-protocol.ts", import.meta.url),
  "utf8",
);

/** A change of the source: one text in place of another that occurs once. */
export type Fault = readonly [text: string, replacement: string];

/** The protocol as generators. Keys and places of one or two words keep the number of states small. */
export async function protocolWith(faults: readonly Fault[], keyWords: number): Promise<Protocol> {
  let text = source;
  const sizes: Fault[] = [
    ["const keyWords = 7", `const keyWords = ${keyWords}`],
    ["const placeWords = 3", "const placeWords = 1"],
  ];
  for (const [before, after] of [...sizes, ...faults]) {
    assert.equal(text.split(before).length, 2, `the protocol contains "${before}" once`);
    text = text.replace(before, () => after);
  }
  const plain = stripTypeScriptTypes(text).replaceAll("export ", "");
  const names = [...plain.matchAll(/function (\w+)\(/g)].map((match) => match[1] as string);
  let steps = plain.replaceAll(/function (\w+)\(/g, "function* $1(");
  steps = wrapped(steps, /Atomics\.(\w+)\(/g, (op, parameters) => `(yield step("${op}", ${parameters}))`);
  const calls = new RegExp(String.raw`(?<!function\* )\b(${names.join("|")})\(`, "g");
  steps = wrapped(steps, calls, (name, parameters) => `(yield* ${name}(${parameters}))`);
  const module = `export const protocolOf = (step) => { ${steps}; return { ${names.join(", ")} }; };`;
  const { protocolOf } = (await import(`data:text/javascript,${encodeURIComponent(module)}`)) as {
    protocolOf: (make: typeof step) => Protocol;
  };
  return protocolOf(step);
}

/** Replaces each call that `pattern` begins, up to its closing parenthesis, from the last one to the first. */
function wrapped(
  text: string,
  pattern: RegExp,
  replace: (name: string, parameters: string) => string,
): string {
  let result = text;
  for (const match of [...text.matchAll(pattern)].toReversed()) {
    const start = match.index + match[0].length;
    let end = start;
    for (let depth = 1; depth > 0; end += 1) {
      if (result[end] === "(") depth += 1;
      if (result[end] === ")") depth -= 1;
    }
    const call = replace(match[1] as string, result.slice(start, end - 1));
    result = result.slice(0, match.index) + call + result.slice(end);
  }
  return result;
}

export function step(op: Step["op"], words: Int32Array, index: number, value = 0): Step {
  return { op, words, index, value };
}

function perform({ op, words, index, value }: Step): number {
  assert(index >= 0 && index < words.length, "a step stays inside its words");
  if (op === "wait") return 0;
  if (op === "load") return Atomics.load(words, index);
  return op === "notify" ? 0 : Atomics[op](words, index, value);
}

/** A world after some steps. */
class Run {
  readonly world: World;
  readonly #next: (Step | undefined)[] = [];
  readonly #histories: string[] = [];

  constructor(world: World) {
    this.world = world;
    for (const index of world.threads.keys()) this.#advance(index, undefined);
  }

  get isOver(): boolean {
    return this.#next.every((next) => next === undefined);
  }

  get enabled(): number[] {
    return [...this.#next.keys()].filter((thread) => {
      const next = this.#next[thread];
      if (next?.op === "wait") return Atomics.load(next.words, next.index) !== next.value;
      return next !== undefined;
    });
  }

  get key(): string {
    return `${this.world.words.join(";")}|${this.#histories.join("|")}`;
  }

  take(thread: number): void {
    const next = this.#next[thread];
    assert(next !== undefined, "a thread that has ended takes no step");
    this.#advance(thread, perform(next));
  }

  #advance(thread: number, read: number | undefined): void {
    const { threads, ownWords } = this.world;
    let history = `${this.#histories[thread] ?? ""},${read ?? ""}`;
    let next = (threads[thread] as Thread).next(read as number);
    for (let reads = 0; !next.done && ownWords.thread === thread; reads += 1) {
      if (!isOwnRead(next.value, ownWords.words)) break;
      assert(reads < stepsMax, "a thread runs for ever");
      const own = perform(next.value);
      history += `,${own}`;
      next = (threads[thread] as Thread).next(own);
    }
    this.#next[thread] = next.done ? undefined : next.value;
    this.#histories[thread] = next.done ? "end" : history;
  }
}

function isOwnRead({ op, words }: Step, ownWords: Int32Array): boolean {
  return op === "load" && words === ownWords;
}

/**
 * Tries all interleavings of the threads that `start` makes, and returns the number of states. Throws what a thread or the
 * end check throws, with the schedule that led there.
 */
export function explore(start: () => World): number {
  const seen = new Set<string>();
  const schedules: number[][] = [[]];
  for (let schedule = schedules.pop(); schedule !== undefined; schedule = schedules.pop()) {
    try {
      exploreFrom(start, schedule, seen, schedules);
    } catch (thrown) {
      throw new Error(`found by schedule ${schedule.join("")}`, { cause: thrown });
    }
  }
  return seen.size;
}

/** Follows one schedule, and goes on to an end. What else could have been chosen on the way is pushed. */
function exploreFrom(start: () => World, schedule: number[], seen: Set<string>, schedules: number[][]): void {
  const run = new Run(start());
  for (const thread of schedule) run.take(thread);
  for (let key = run.key; !seen.has(key); key = run.key) {
    assert(schedule.length < stepsMax, "a thread runs for ever");
    seen.add(key);
    if (run.isOver) {
      run.world.atEnd();
      return;
    }
    const [first, ...others] = run.enabled;
    assert(first !== undefined, "a thread waits for ever");
    for (const other of others) schedules.push([...schedule, other]);
    schedule.push(first);
    run.take(first);
  }
}
