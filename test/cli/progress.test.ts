import assert from "node:assert/strict";
import { test } from "node:test";
import { MiB } from "../../src/base/units.ts";
import type { TerminalOutput } from "../../src/cli/command-context.ts";
import { Progress } from "../../src/cli/progress.ts";
import { FakeClock } from "../support/fake-clock.ts";

class Screen implements TerminalOutput {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly writes: string[] = [];

  constructor(isTTY: boolean, columns = 100) {
    this.isTTY = isTTY;
    this.columns = columns;
  }

  write(text: string): void {
    this.writes.push(text);
  }
}

const eraseLine = "\r\u001b[2K";

test("Progress: a bar with bytes, rate and time left, drawn over itself", async () => {
  const clock = new FakeClock();
  const output = new Screen(true);
  const progress = new Progress({ label: "cold", totalBytes: 100 * MiB, output, clock });
  await clock.advance(1000);
  progress.add(25 * MiB);
  assert.deepEqual(output.writes, [
    `${eraseLine}cold  ███████░░░░░░░░░░░░░░░░░░░░░░░   25%  25 MiB of 100 MiB  26.2 MB/s  3s left`,
  ]);
});

test("Progress: at most ten drawings a second", async () => {
  const clock = new FakeClock();
  const output = new Screen(true);
  const progress = new Progress({ label: "cold", totalBytes: 1000, output, clock });
  for (let millisecond = 0; millisecond < 1000; millisecond += 1) {
    progress.add(1);
    await clock.advance(1);
  }
  assert.equal(output.writes.length, 10);
  assert.equal(progress.doneBytes, 1000);
});

test("Progress: finish leaves the last state on its own line, once", async () => {
  const clock = new FakeClock();
  const output = new Screen(true);
  const progress = new Progress({ label: "warm", totalBytes: 2 * MiB, output, clock });
  progress.add(MiB);
  await clock.advance(50);
  progress.add(MiB);
  progress.finish();
  progress.finish();
  progress.add(1);
  assert.equal(output.writes.length, 2);
  assert.equal(output.writes[1], `${eraseLine}warm  ${"█".repeat(30)}  100%  2 MiB of 2 MiB  41.9 MB/s\n`);
});

test("Progress: an empty object is complete", () => {
  const output = new Screen(true);
  new Progress({ label: "empty", totalBytes: 0, output, clock: new FakeClock() }).finish();
  assert.equal(output.writes[0], `${eraseLine}empty  ${"█".repeat(30)}  100%  0 B of 0 B  0.0 MB/s\n`);
});

test("Progress: off a terminal it is plain lines now and then", async () => {
  const clock = new FakeClock();
  const output = new Screen(false);
  const progress = new Progress({ label: "cold", totalBytes: 120 * MiB, output, clock });
  for (let second = 0; second < 12; second += 1) {
    await clock.advance(1000);
    progress.add(10 * MiB);
  }
  progress.finish();
  assert.deepEqual(output.writes, [
    "cold   41%  50 MiB of 120 MiB  10.5 MB/s  7s left\n",
    "cold   83%  100 MiB of 120 MiB  10.5 MB/s  2s left\n",
    "cold  100%  120 MiB of 120 MiB  10.5 MB/s\n",
  ]);
});

test("Progress: a line is always shorter than the terminal is wide", async () => {
  for (const columns of [1, 10, 40, 60, 80, 200]) {
    const clock = new FakeClock();
    const output = new Screen(true, columns);
    const progress = new Progress({ label: "a long label \u001b[31m", totalBytes: 1e12, output, clock });
    await clock.advance(100);
    progress.add(1);
    const line = output.writes[0]?.slice(eraseLine.length) ?? "";
    assert.ok(line.length < columns, `${line.length} of ${columns}`);
    assert.ok(!line.includes("\u001b"));
  }
});

test("Progress: long times are told in minutes and hours", async () => {
  const clock = new FakeClock();
  const output = new Screen(true);
  const progress = new Progress({ label: "cold", totalBytes: 7400, output, clock });
  for (const bytes of [1, 99, 900]) {
    await clock.advance(bytes * 1000);
    progress.add(bytes);
  }
  const left = output.writes.map((line) => line.slice(line.indexOf("MB/s") + 4).trim());
  assert.deepEqual(left, ["2h 03m left", "2h 01m left", "1h 46m left"]);
});
