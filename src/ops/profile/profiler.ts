/**
 * Profiles this process while it serves: where its time goes (CPU), or who allocates what is still alive (heap). The
 * inspector of Node records in the process itself, so no port is opened. The heap is sampled and not dumped: a dump holds
 * keys and tokens, and stops the process for seconds.
 *
 * Invariants:
 * 1. At most one profile is taken at a time, for at most {@link profileMsMax}.
 * 2. However a profile ends, the inspector records no more afterwards.
 */
import type { Session } from "node:inspector/promises";
import { type Clock, sleep } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";

export const profileKinds = ["cpu", "heap"] as const;
export type ProfileKind = (typeof profileKinds)[number];

export const profileMsMax = 60_000;

/** A profile in JSON. The CPU profile of a minute has a few megabytes. */
const profileBytesMax = 64 * 1024 * 1024;

/** Of the CPU; the inspector's own default. A shorter one costs more than it shows. */
const cpuIntervalUs = 1000;

/** Bytes allocated between two samples, on average; the inspector's own default. */
const heapIntervalBytes = 32_768;

export class Profiler {
  readonly #clock: Clock;
  #isRunning = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /**
   * Resolves with the profile as Chrome DevTools loads it: `.cpuprofile` or `.heapprofile`. Undefined where another one is
   * being taken. @throws the signal's reason; OrcaError `overloaded` for a profile that is too large.
   */
  async take(kind: ProfileKind, durationMs: number, signal: AbortSignal): Promise<string | undefined> {
    if (this.#isRunning) return undefined;
    this.#isRunning = true;
    let session: Session | undefined;
    try {
      // A Node that was built without it throws here.
      const inspector = await import("node:inspector/promises");
      session = new inspector.Session();
      session.connect();
      const profile = await (kind === "cpu" ? cpuProfile : heapProfile)(session, () =>
        sleep(this.#clock, Math.min(durationMs, profileMsMax), signal),
      );
      const text = JSON.stringify(profile);
      if (text.length <= profileBytesMax) return text;
      const reason = `it has ${text.length} bytes, at most ${profileBytesMax} are sent. Take a shorter one`;
      throw new OrcaError("overloaded", "replica", `Cannot send the profile: ${reason}`);
    } finally {
      // Ends whatever the session has begun.
      session?.disconnect();
      this.#isRunning = false;
    }
  }
}

async function cpuProfile(session: Session, wait: () => Promise<void>): Promise<object> {
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: cpuIntervalUs });
  await session.post("Profiler.start");
  await wait();
  return (await session.post("Profiler.stop")).profile;
}

async function heapProfile(session: Session, wait: () => Promise<void>): Promise<object> {
  await session.post("HeapProfiler.enable");
  await session.post("HeapProfiler.startSampling", { samplingInterval: heapIntervalBytes });
  await wait();
  return (await session.post("HeapProfiler.stopSampling")).profile;
}
