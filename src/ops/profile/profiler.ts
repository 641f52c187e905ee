/**
 * Profiles the threads of this process while they serve: where their time goes (CPU), or who allocates what is still alive
 * (heap). The inspector of Node records in the process itself, so no port is opened. The heap is sampled and not dumped: a
 * dump holds keys and tokens, and stops a thread for seconds.
 *
 * Invariants:
 * 1. At most one profile is taken at a time, for at most {@link profileMsMax}. It covers each thread once, and
 *    `server.threads` bounds these.
 * 2. However a profile ends, the inspector records no more afterwards.
 * 3. A thread that does not answer costs the others {@link answerMs}, and not their profiles.
 */
import { type Clock, sleep, unlessAborted } from "../../base/clock.ts";
import { OrcaError } from "../../base/orca-error.ts";
import { type Post, type ThreadSession, ThreadSessions } from "./thread-sessions.ts";

export const profileKinds = ["cpu", "heap"] as const;
export type ProfileKind = (typeof profileKinds)[number];

export const profileMsMax = 60_000;

/** What a thread may take to begin, and to send what it recorded. */
export const answerMs = 5000;

/** Of all threads, in JSON. The CPU profile of a minute of one thread has a few megabytes. */
const profileBytesMax = 64 * 1024 * 1024;

/** Of the CPU; the inspector's own default. A shorter one costs more than it shows. */
const cpuIntervalUs = 1000;

/** Bytes allocated between two samples, on average; the inspector's own default. */
const heapIntervalBytes = 32_768;

export interface ProfileRequest {
  readonly kind: ProfileKind;
  readonly durationMs: number;
  /** A name, or the number of a thread that serves clients. Undefined for all threads. */
  readonly thread?: string | undefined;
}

export interface ThreadProfile {
  readonly thread: string;
  /** In JSON, as Chrome DevTools loads it: a `.cpuprofile` or a `.heapprofile`. Undefined with a fault. */
  readonly text?: string;
  /** Why there is no profile. */
  readonly fault?: string;
}

export class Profiler {
  readonly #clock: Clock;
  #isRunning = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Resolves with the profile of each thread, the main thread's first. Undefined where another profile is being taken.
   * @throws the signal's reason; OrcaError `invalid_argument` for a thread that there is not, `overloaded` for profiles that
   *   are too large.
   */
  async take(request: ProfileRequest, signal: AbortSignal): Promise<readonly ThreadProfile[] | undefined> {
    if (this.#isRunning) return undefined;
    this.#isRunning = true;
    let sessions: ThreadSessions | undefined;
    try {
      sessions = await ThreadSessions.open();
      const chosen = chooseFrom(sessions.all(), request.thread);
      const profiles = await Promise.all(chosen.map((session) => this.#takeOne(session, request, signal)));
      const bytes = profiles.reduce((sum, { text = "" }) => sum + text.length, 0);
      if (bytes <= profileBytesMax) return profiles;
      const reason = `they have ${bytes} bytes, at most ${profileBytesMax} are sent. Take shorter ones, or of one thread`;
      throw new OrcaError("overloaded", "replica", `Cannot send the profiles: ${reason}`);
    } finally {
      // Ends whatever the sessions have begun.
      sessions?.close();
      this.#isRunning = false;
    }
  }

  async #takeOne(
    { thread, post }: ThreadSession,
    { kind, durationMs }: ProfileRequest,
    signal: AbortSignal,
  ): Promise<ThreadProfile> {
    const boundedMs = Math.min(durationMs, profileMsMax);
    const late = Promise.withResolvers<never>();
    const timer = this.#clock.timer(boundedMs + answerMs, () =>
      late.reject(new Error(`no answer within ${(boundedMs + answerMs) / 1000} s: it hangs in a call`)),
    );
    const wait = (): Promise<void> => sleep(this.#clock, boundedMs, signal);
    const record = kind === "cpu" ? cpuProfile : heapProfile;
    try {
      const recorded = Promise.race([record(post, wait), late.promise]);
      const profile = await unlessAborted(recorded, signal);
      return { thread, text: JSON.stringify(profile) };
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      return { thread, fault: thrown instanceof Error ? thrown.message : String(thrown) };
    } finally {
      timer.cancel();
    }
  }
}

/** @throws OrcaError `invalid_argument` */
function chooseFrom(sessions: readonly ThreadSession[], name: string | undefined): readonly ThreadSession[] {
  if (name === undefined) return sessions;
  const chosen = sessions.filter(({ thread }) => thread === name || thread === `orca-edge-${name}`);
  if (chosen.length > 0) return chosen;
  const names = sessions.map(({ thread }) => thread).join(", ");
  const reason = `there is no thread "${name}", expected one of ${names}`;
  throw new OrcaError("invalid_argument", "client", `Cannot take a profile: ${reason}`);
}

async function cpuProfile(post: Post, wait: () => Promise<void>): Promise<unknown> {
  await post("Profiler.enable");
  await post("Profiler.setSamplingInterval", { interval: cpuIntervalUs });
  await post("Profiler.start");
  await wait();
  return profileIn(await post("Profiler.stop"));
}

async function heapProfile(post: Post, wait: () => Promise<void>): Promise<unknown> {
  await post("HeapProfiler.enable");
  await post("HeapProfiler.startSampling", { samplingInterval: heapIntervalBytes });
  await wait();
  return profileIn(await post("HeapProfiler.stopSampling"));
}

function profileIn(result: unknown): unknown {
  return (result as { readonly profile: unknown }).profile;
}
