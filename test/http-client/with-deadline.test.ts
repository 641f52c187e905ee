import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { withDeadline } from "../../src/http-client/with-deadline.ts";
import { originFaults as faults } from "../../src/origin/origin-faults.ts";
import { FakeClock } from "../support/fake-clock.ts";

const forever = (): Promise<never> => new Promise<never>(() => {});

const wraps = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("AbortError"))));

test("withDeadline: gives the answer and leaves no timer behind", async () => {
  const clock = new FakeClock();
  assert.equal(
    await withDeadline({ clock, timeoutMs: 100, action: "Cannot x", faults }, () => Promise.resolve(7)),
    7,
  );
  assert.equal(clock.pendingTimers, 0);
});

test("withDeadline: work that does not listen to its signal is left behind at the deadline", async () => {
  const clock = new FakeClock();
  const failed = assert.rejects(
    withDeadline({ clock, timeoutMs: 100, action: "Cannot x", faults }, forever),
    (thrown) => {
      assert.ok(thrown instanceof OrcaError && thrown.code === "origin_unavailable");
      assert.equal(thrown.message, "Cannot x: no answer within 100 ms");
      return true;
    },
  );
  await clock.advance(100);
  await failed;
});

test("withDeadline: an abort ends it with the signal's reason, whatever the work makes of it", async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const reason = new Error("gone");
  const failed = Promise.all(
    [forever, wraps].map((work) =>
      assert.rejects(
        withDeadline({ clock, timeoutMs: 100, action: "x", faults, signal: abort.signal }, work),
        reason,
      ),
    ),
  );
  abort.abort(reason);
  await failed;
  assert.equal(clock.pendingTimers, 0);
  await assert.rejects(
    withDeadline({ clock, timeoutMs: 100, action: "x", faults, signal: abort.signal }, forever),
    reason,
  );
});
