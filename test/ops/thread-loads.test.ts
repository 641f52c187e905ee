import assert from "node:assert/strict";
import { test } from "node:test";
import { type LoadedThread, loadWindowMs, ownLoopTime, ThreadLoads } from "../../src/ops/thread-loads.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** A thread whose loop worked for `active`, and waited for `idle`. */
class ScriptedThread implements LoadedThread {
  readonly name: string;
  readonly connections: number | undefined;
  idle = 0;
  active = 0;

  constructor(name: string, connections?: number) {
    this.name = name;
    this.connections = connections;
  }

  loopTime(): { idle: number; active: number } {
    return { idle: this.idle, active: this.active };
  }

  pass(active: number, idle: number): void {
    this.active += active;
    this.idle += idle;
  }
}

test("ThreadLoads: shows the last window, and before its end what was since the start", async () => {
  const clock = new FakeClock();
  const [main, edge] = [new ScriptedThread("main"), new ScriptedThread("orca-edge-1", 3)];
  const loads = new ThreadLoads(clock, () => [main, edge]);
  const busy = (): number[] => loads.read().map(({ busyPart }) => busyPart);
  assert.deepEqual(busy(), [0, 0]);
  main.pass(1000, 4000);
  edge.pass(5000, 0);
  assert.deepEqual(loads.read(), [
    { name: "main", connections: undefined, busyPart: 0.2 },
    { name: "orca-edge-1", connections: 3, busyPart: 1 },
  ]);
  await clock.advance(loadWindowMs);
  main.pass(0, 5000);
  assert.deepEqual(busy(), [0.1, 1], "since the start");
  await clock.advance(loadWindowMs);
  edge.pass(0, 5000);
  assert.deepEqual(busy(), [0, 0], "since the end of the first window");
  assert.deepEqual(loads.busySeconds(), { main: 1, "orca-edge-1": 5 });
  loads.stop();
  assert.equal(clock.pendingTimers, 0);
});

test("ThreadLoads.busySeconds: never fall, as Node's own figure does for a moment", () => {
  const thread = new ScriptedThread("main");
  const loads = new ThreadLoads(new FakeClock(), () => [thread]);
  thread.pass(2000, 0);
  assert.deepEqual(loads.busySeconds(), { main: 2 });
  thread.pass(-3, 3);
  assert.deepEqual(loads.busySeconds(), { main: 2 });
  thread.pass(1003, 0);
  assert.deepEqual(loads.busySeconds(), { main: 3 });
  loads.stop();
});

test("ThreadLoads: a thread that has ended is not busy", async () => {
  const clock = new FakeClock();
  const thread = new ScriptedThread("orca-edge-1", 0);
  const loads = new ThreadLoads(clock, () => [thread]);
  thread.pass(4000, 1000);
  await clock.advance(loadWindowMs);
  await clock.advance(loadWindowMs);
  thread.pass(-4000, -1000);
  assert.equal(loads.read()[0]?.busyPart, 0);
  loads.stop();
});

test("ownLoopTime: is that of this thread", () => {
  const { idle, active } = ownLoopTime();
  assert.ok(idle >= 0 && active > 0);
});
