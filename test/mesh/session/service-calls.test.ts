import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema } from "../../../gen/orca/v1/errors_pb.ts";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { NotCoordinator } from "../../../src/membership/not-coordinator.ts";
import { ServiceCalls } from "../../../src/mesh/session/service-calls.ts";
import { memberOf } from "../../support/member-of.ts";
import { TestProcess } from "../../support/process.ts";

test("ServiceCalls.answer: sends errors with their meaning, and counts them by it", async () => {
  const calls = new ServiceCalls();
  assert.equal(await calls.answer(() => 1), 1);
  const errors = [
    new OrcaError("invalid_argument", "mesh", "no"),
    new NotCoordinator("x", memberOf("r1"), []),
    new OrcaError("overloaded", "membership", "no"),
    new TypeError("no"),
  ];
  const expected = [Code.InvalidArgument, Code.FailedPrecondition, Code.ResourceExhausted, Code.Internal];
  for (const [index, error] of errors.entries()) {
    for (const give of [() => Promise.reject(error), () => assert.fail(error)]) {
      await assert.rejects(calls.answer<never>(give), (thrown) => {
        assert.ok(thrown instanceof ConnectError);
        assert.equal(thrown.code, expected[index]);
        assert.equal(thrown.findDetails(ErrorDetailSchema).length, 1);
        return true;
      });
    }
  }
  assert.deepEqual(calls.stats, { calls: 9, failed: 4, malformed: 2, notCoordinator: 2 });
});

test("ServiceCalls.answer: a failed assertion ends the process, although Connect catches it", async (context) => {
  const source = join(import.meta.dirname, "../../../src");
  const script = `
    import { AssertionFailure } from "${source}/base/assert.ts";
    import { ServiceCalls } from "${source}/mesh/session/service-calls.ts";
    process.on("uncaughtException", ({ message }) => { console.log("ended by", message); process.exit(70); });
    new ServiceCalls().answer(() => { throw new AssertionFailure("a bug"); }).catch(() => undefined);
    setInterval(() => undefined, 1000);
  `;
  const child = new TestProcess("bug", process.execPath, ["--input-type=module", "--eval", script]);
  context.after(() => child.stop());
  await child.line(/ended by a bug/);
  assert.equal(await child.exited, 70);
});
