import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { begin, ReleaseStack, releaseTimeoutMs, step, together } from "../../src/replica/release-stack.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { rejectsWith } from "../support/rejects-with.ts";

function stackThatNotes(notes: string[]): {
  held: ReleaseStack;
  note: (text: string) => () => Promise<void>;
} {
  const note = (text: string) => async (): Promise<void> => void notes.push(text);
  return { held: new ReleaseStack(new RecordedLogger(), new FakeClock()), note };
}

test("ReleaseStack: what was added last runs first, and what was added in order runs in order before that", async () => {
  const notes: string[] = [];
  const { held, note } = stackThatNotes(notes);
  held.add(note("socket"));
  held.add(note("disk"));
  held.addInOrder([note("drain"), note("commit")], 1000);
  await held.unwind();
  assert.deepEqual(notes, ["drain", "commit", "disk", "socket"]);
});

test("ReleaseStack: unwinds once, and every caller waits for the end of it", async () => {
  const notes: string[] = [];
  const { held, note } = stackThatNotes(notes);
  const gate = Promise.withResolvers<void>();
  held.add(note("released"));
  held.add(() => gate.promise);
  const ends = [held.unwind(), held.unwind()].map((end) => end.then(() => notes.length));
  gate.resolve();
  assert.deepEqual(await Promise.all(ends), [1, 1]);
});

test("ReleaseStack: steps that fail are named in one sentence, in their order, and the others run", async () => {
  const notes: string[] = [];
  const { held, note } = stackThatNotes(notes);
  held.add(note("last"));
  held.add(step("close the ops listener", () => Promise.reject(new Error("EBADF"))));
  held.add(note("middle"));
  held.add(
    together(
      step("close the disk", () => {
        throw new OrcaError("internal", "disk", "Cannot unlock: EIO");
      }),
      note("together"),
      step("close the cachestore", () => Promise.reject(new Error("no answer"))),
    ),
  );
  held.add(step("stop the scrub", () => Promise.reject(new Error("it hangs"))));
  const error = await rejectsWith("internal", held.unwind());
  assert.equal(
    error.message,
    "Cannot stop cleanly: Cannot stop the scrub: it hangs; Cannot close the disk: Cannot unlock: EIO; Cannot close the cachestore: no answer; Cannot close the ops listener: EBADF",
  );
  assert.deepEqual(notes, ["together", "middle", "last"]);
});

test("ReleaseStack: a part that fails twice in the same words is named once", async () => {
  const { held } = stackThatNotes([]);
  for (let time = 0; time < 2; time += 1)
    held.add(step("close the disk", () => Promise.reject(new Error("EIO"))));
  const error = await rejectsWith("internal", held.unwind());
  assert.equal(error.message, "Cannot stop cleanly: Cannot close the disk: EIO");
});

test("begin: goes on at once, and leaves a failure to the step that waits for it", async () => {
  const { held } = stackThatNotes([]);
  const copies = Promise.withResolvers<void>();
  held.add(step("end copies", () => copies.promise));
  held.add(async () => copies.reject(new Error("EIO")));
  held.add(begin(() => copies.promise));
  const error = await rejectsWith("internal", held.unwind());
  assert.equal(error.message, "Cannot stop cleanly: Cannot end copies: EIO");
});

test("together: begins all steps before it waits for one", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await together(
    () => promise,
    async () => resolve(),
  )();
});

test("ReleaseStack.orUnwind: hands on what is made, and holds what it holds", async () => {
  const notes: string[] = [];
  const { held, note } = stackThatNotes(notes);
  held.add(note("released"));
  assert.equal(await held.orUnwind(async () => 7), 7);
  assert.deepEqual(notes, []);
});

test("ReleaseStack.orUnwind: what could not be made is thrown, and what could not be released is logged", async () => {
  const logger = new RecordedLogger();
  const held = new ReleaseStack(logger, new FakeClock());
  held.add(step("close the disk", () => Promise.reject(new Error("EIO"))));
  const refused = new OrcaError("config_invalid", "config", "Cannot listen");
  const made = held.orUnwind(() => Promise.reject(refused));
  assert.equal(await rejectsWith("config_invalid", made), refused);
  const [event] = logger.events;
  assert.equal(event?.level, "error");
  assert.match(String((event.fields as { err?: unknown }).err), /Cannot close the disk: EIO/);
});

function never(): Promise<void> {
  return new Promise(() => {});
}

test("ReleaseStack: a step that hangs is named, the others run, and no timer stays", async () => {
  const clock = new FakeClock();
  const held = new ReleaseStack(new RecordedLogger(), clock);
  const notes: string[] = [];
  held.add(async () => void notes.push("socket"));
  held.add(
    together(
      step("close the disk", never),
      step("close the cachestore", () => {}),
    ),
  );
  held.addInOrder([step("drain the S3 listener", never)], 30_000);
  const failed = rejectsWith("internal", held.unwind());
  await clock.advance(30_000 + releaseTimeoutMs);
  await clock.advance(releaseTimeoutMs);
  const { message } = await failed;
  assert.equal(
    message,
    "Cannot stop cleanly: Cannot drain the S3 listener: it hangs, with no end within 35000 ms; Cannot close the disk, or close the cachestore: it hangs, with no end within 5000 ms",
  );
  assert.deepEqual(notes, ["socket"]);
  assert.equal(clock.pendingTimers, 0);
});
