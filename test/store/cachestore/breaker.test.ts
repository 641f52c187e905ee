import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../../src/base/orca-error.ts";
import { Breaker } from "../../../src/store/cachestore/breaker.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const unavailable = new OrcaError("store_unavailable", "cachestore", "Cannot read a chunk: no answer");
const denied = new OrcaError("store_denied", "cachestore", "Cannot read a chunk: 403");

function admitted(admission: number | undefined): number {
  assert.notEqual(admission, undefined, "an operation is admitted");
  return admission as number;
}

class Fixture {
  readonly clock = new FakeClock();
  readonly breaker = new Breaker({ clock: this.clock });
  readonly changes: string[] = [];

  constructor() {
    this.breaker.onChange((state, previous) => this.changes.push(`${previous.kind} -> ${state.kind}`));
  }

  fail(times: number, error = unavailable): void {
    for (let count = 0; count < times; count += 1) {
      admitted(this.breaker.admit());
      this.breaker.failed(error);
    }
  }

  succeed(times: number): void {
    for (let count = 0; count < times; count += 1) {
      admitted(this.breaker.admit());
      this.breaker.succeeded();
    }
  }

  async halfOpen(): Promise<void> {
    this.fail(10);
    await this.clock.advance(30_000);
  }
}

test("Breaker: the tenth error within 30 s opens it, the ninth does not", async () => {
  const fixture = new Fixture();
  const { breaker, clock, changes } = fixture;
  fixture.fail(1);
  await clock.advance(30_000);
  fixture.fail(8);
  assert.equal(breaker.state.kind, "closed");
  fixture.fail(1);
  assert.deepEqual(breaker.state, { kind: "open", untilMs: 60_000, cause: unavailable });
  assert.deepEqual(changes, ["closed -> open"]);
});

test("Breaker: ten errors in more than 30 s leave it closed, and the window slides", async () => {
  const fixture = new Fixture();
  const { breaker, clock } = fixture;
  for (let error = 0; error < 30; error += 1) {
    fixture.fail(1);
    // Nine such steps are longer than the window, by a millisecond or more.
    await clock.advance(3334);
  }
  assert.equal(breaker.state.kind, "closed");
  assert.equal(breaker.stats.opened, 0);
});

test("Breaker: successes between the errors do not keep it closed", () => {
  const fixture = new Fixture();
  for (let round = 0; round < 10; round += 1) {
    fixture.succeed(5);
    fixture.fail(1);
  }
  assert.equal(fixture.breaker.state.kind, "open");
});

test("Breaker: while open it admits nothing, for exactly 30 s", async () => {
  const fixture = new Fixture();
  const { breaker, clock } = fixture;
  fixture.fail(10);
  for (let count = 0; count < 4; count += 1) assert.equal(breaker.admit(), undefined);
  await clock.advance(29_999);
  assert.deepEqual([breaker.admits, breaker.admit()], [false, undefined]);
  await clock.advance(1);
  assert.deepEqual([breaker.admits, breaker.state.kind], [true, "open"]);
  admitted(breaker.admit());
  assert.deepEqual(breaker.state, { kind: "half-open", admitted: 1, succeeded: 0 });
  assert.deepEqual(fixture.changes, ["closed -> open", "open -> half-open"]);
  assert.equal(breaker.stats.turnedAway, 5);
  assert.equal(clock.pendingTimers, 0);
});

test("Breaker: half-open it admits three probes and no fourth, and three successes close it", async () => {
  const fixture = new Fixture();
  const { breaker } = fixture;
  await fixture.halfOpen();
  for (let probe = 0; probe < 3; probe += 1) admitted(breaker.admit());
  assert.equal(breaker.admit(), undefined);
  breaker.succeeded();
  breaker.succeeded();
  assert.deepEqual(breaker.state, { kind: "half-open", admitted: 3, succeeded: 2 });
  assert.equal(breaker.admits, false);
  breaker.succeeded();
  assert.deepEqual(breaker.state, { kind: "closed" });
  assert.deepEqual(fixture.changes, ["closed -> open", "open -> half-open", "half-open -> closed"]);
  assert.deepEqual(breaker.stats, {
    succeeded: 3,
    failed: 10,
    withdrawn: 0,
    turnedAway: 1,
    opened: 1,
    closed: 1,
  });
});

test("Breaker: one probe that fails opens it for another 30 s", async () => {
  const fixture = new Fixture();
  const { breaker, clock } = fixture;
  await fixture.halfOpen();
  fixture.succeed(2);
  fixture.fail(1);
  assert.deepEqual(breaker.state, { kind: "open", untilMs: 60_000, cause: unavailable });
  await clock.advance(29_999);
  assert.equal(breaker.admit(), undefined);
  await clock.advance(1);
  fixture.succeed(3);
  assert.equal(breaker.state.kind, "closed");
  assert.deepEqual([breaker.stats.opened, breaker.stats.closed], [2, 1]);
});

test("Breaker: after it has closed, earlier errors do not count", async () => {
  const fixture = new Fixture();
  await fixture.halfOpen();
  fixture.succeed(3);
  fixture.fail(9);
  assert.equal(fixture.breaker.state.kind, "closed");
  fixture.fail(1);
  assert.equal(fixture.breaker.state.kind, "open");
});

test("Breaker: a withdrawn probe makes room for another", async () => {
  const fixture = new Fixture();
  const { breaker } = fixture;
  await fixture.halfOpen();
  const [first] = [breaker.admit(), breaker.admit(), breaker.admit()];
  breaker.withdrawn(admitted(first));
  assert.deepEqual(breaker.state, { kind: "half-open", admitted: 2, succeeded: 0 });
  admitted(breaker.admit());
  assert.equal(breaker.admit(), undefined);
  for (let probe = 0; probe < 3; probe += 1) breaker.succeeded();
  assert.equal(breaker.state.kind, "closed");
  assert.equal(breaker.stats.withdrawn, 1);
});

test("Breaker: a withdrawn operation from before half-open makes no room for a fourth probe", async () => {
  const fixture = new Fixture();
  const { breaker } = fixture;
  const whileClosed = admitted(breaker.admit());
  await fixture.halfOpen();
  const earlierProbe = admitted(breaker.admit());
  fixture.fail(1);
  await fixture.clock.advance(30_000);
  for (let probe = 0; probe < 3; probe += 1) admitted(breaker.admit());
  breaker.withdrawn(whileClosed);
  breaker.withdrawn(earlierProbe);
  assert.deepEqual(breaker.state, { kind: "half-open", admitted: 3, succeeded: 0 });
  assert.equal(breaker.admits, false);
});

test("Breaker: while it is open, the end of an earlier operation changes nothing", async () => {
  const fixture = new Fixture();
  const { breaker, clock } = fixture;
  const [late] = [breaker.admit(), breaker.admit(), breaker.admit()];
  fixture.fail(10);
  await clock.advance(10_000);
  breaker.failed(unavailable);
  breaker.succeeded();
  breaker.withdrawn(admitted(late));
  assert.deepEqual(breaker.state, { kind: "open", untilMs: 30_000, cause: unavailable });
  assert.deepEqual(fixture.changes, ["closed -> open"]);
});

test("Breaker: denials in a row are counted until an operation ends otherwise", () => {
  const fixture = new Fixture();
  const { breaker } = fixture;
  fixture.fail(3, denied);
  assert.equal(breaker.deniedInARow, 3);
  fixture.fail(1, unavailable);
  assert.equal(breaker.deniedInARow, 0);
  fixture.fail(2, denied);
  fixture.succeed(1);
  assert.equal(breaker.deniedInARow, 0);
  fixture.fail(4, denied);
  assert.equal(breaker.state.kind, "open");
  assert.equal(breaker.deniedInARow, 4);
});
