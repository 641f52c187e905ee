import assert from "node:assert/strict";
import { test } from "node:test";
import { bufferBytesMax, bufferLinesMax, LogBuffer } from "../../src/ops/log-buffer.ts";
import type { LogOutput, LogWritten } from "../../src/ops/log-output.ts";
import { FakeClock } from "../support/fake-clock.ts";

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}

/** Takes what there is room for, or fails. */
class FakeOutput implements LogOutput {
  text = "";
  writes = 0;
  roomBytes = Infinity;
  error: string | undefined;

  write(bytes: Buffer, done: LogWritten): void {
    try {
      done(null, this.writeNow(bytes));
    } catch (error) {
      done(error as NodeJS.ErrnoException, 0);
    }
  }

  writeNow(bytes: Buffer): number {
    this.writes += 1;
    if (this.error !== undefined) throw failure(this.error);
    if (this.roomBytes === 0) throw failure("EAGAIN");
    const taken = bytes.subarray(0, this.roomBytes);
    this.roomBytes -= taken.length;
    this.text += taken.toString();
    return taken.length;
  }
}

/** Is done when the test says so, as a thread would be. */
class SlowOutput extends FakeOutput {
  readonly pending: (() => void)[] = [];

  override write(bytes: Buffer, done: LogWritten): void {
    this.pending.push(() => super.write(bytes, done));
  }
}

function bufferTo(output: FakeOutput) {
  const clock = new FakeClock();
  const buffer: LogBuffer = new LogBuffer({
    output,
    clock,
    onGap: (lines, reason) => buffer.write(`gap of ${lines} by ${reason}\n`),
  });
  return { clock, buffer };
}

test("LogBuffer: a line that the output takes is written at once, and needs no timer", () => {
  const output = new FakeOutput();
  const { clock, buffer } = bufferTo(output);
  buffer.write("one\n");
  buffer.write("two\n");
  assert.deepEqual([output.text, output.writes, buffer.pendingLines], ["one\ntwo\n", 2, 0]);
  assert.equal(clock.pendingTimers, 0);
});

test("LogBuffer: a full pipe takes the rest in order and whole, once there is room", async () => {
  const output = new FakeOutput();
  const { clock, buffer } = bufferTo(output);
  output.roomBytes = 6;
  for (const line of ["one\n", "twö\n", "three\n"]) buffer.write(line);
  assert.equal(output.text, "one\ntw");
  await clock.advance(10_000);
  assert.equal(buffer.lastError, "EAGAIN");
  // At most once a second by now.
  assert.ok(output.writes < 30, String(output.writes));
  output.roomBytes = Infinity;
  await clock.advance(1000);
  assert.equal(output.text, "one\ntwö\nthree\n");
  assert.deepEqual([buffer.pendingLines, buffer.lastError, clock.pendingTimers], [0, "", 0]);
});

test("LogBuffer: while a write runs, lines gather for the next one", () => {
  const output = new SlowOutput();
  const { buffer } = bufferTo(output);
  for (let index = 0; index < 100; index += 1) buffer.write(`${index}\n`);
  assert.equal(output.pending.length, 1);
  output.pending.shift()?.();
  output.pending.shift()?.();
  assert.equal(output.writes, 2);
  assert.deepEqual(output.text.trimEnd().split("\n").map(Number), [...Array(100).keys()]);
});

for (const { bound, line, count } of [
  { bound: "lines", line: "short\n", count: bufferLinesMax },
  { bound: "bytes", line: `${"x".repeat(65_535)}\n`, count: bufferBytesMax / 65_536 },
]) {
  test(`LogBuffer: past its bound in ${bound} it drops and counts, and tells how much where it is missing`, async () => {
    const output = new FakeOutput();
    const { clock, buffer } = bufferTo(output);
    output.error = "ENOSPC";
    for (let index = 0; index < count + 7; index += 1) buffer.write(line);
    assert.deepEqual([buffer.pendingLines, buffer.stats.linesDropped], [count, 7]);
    output.error = undefined;
    await clock.advance(1000);
    buffer.write("after\n");
    assert.equal(output.text, `${line.repeat(count)}gap of 7 by ENOSPC\nafter\n`);
    assert.equal(buffer.stats.linesDropped, 7);
  });
}

test("LogBuffer: between the first dropped line and the told gap, no line gets in", () => {
  const output = new SlowOutput();
  const { buffer } = bufferTo(output);
  for (let index = 0; index < bufferLinesMax + 1; index += 1) buffer.write("x\n");
  output.pending.shift()?.();
  buffer.write("late\n");
  while (output.pending.length > 0) output.pending.shift()?.();
  assert.match(output.text, /^(?:x\n){16384}gap of 2 by \n$/);
});

test("LogBuffer: a line that is longer than the buffer is told as missing, and the next one comes", () => {
  const output = new FakeOutput();
  const { buffer } = bufferTo(output);
  buffer.write("x".repeat(bufferBytesMax + 1));
  buffer.write("next\n");
  assert.equal(output.text, "gap of 1 by \nnext\n");
});

test("LogBuffer: an output that takes nothing without an error is tried again later", async () => {
  const output = new FakeOutput();
  const { clock, buffer } = bufferTo(output);
  output.writeNow = () => 0;
  buffer.write("one\n");
  await clock.advance(100);
  assert.deepEqual([buffer.pendingLines, buffer.lastError, clock.pendingTimers], [1, "EAGAIN", 1]);
});

test("LogBuffer.flush: waits for the last line, and not for ever", async () => {
  const output = new FakeOutput();
  const { clock, buffer } = bufferTo(output);
  assert.equal(await buffer.flush(1000), true);
  output.roomBytes = 0;
  buffer.write("one\n");
  const late = buffer.flush(1000);
  await clock.advance(1000);
  assert.equal(await late, false);
  const flushed = buffer.flush(1000);
  output.roomBytes = Infinity;
  await clock.advance(999);
  assert.equal(await flushed, true);
  buffer.close();
  assert.deepEqual([output.text, clock.pendingTimers], ["one\n", 0]);
});

test("LogBuffer.writeThrough: what waits and what comes is written before the call returns", () => {
  const output = new FakeOutput();
  const { clock, buffer } = bufferTo(output);
  output.error = "ENOSPC";
  for (let index = 0; index < bufferLinesMax + 1; index += 1) buffer.write("x\n");
  output.error = undefined;
  buffer.writeThrough();
  buffer.write("the bug\n");
  assert.match(output.text, /x\ngap of 1 by ENOSPC\nthe bug\n$/);
  assert.deepEqual([buffer.pendingLines, clock.pendingTimers], [0, 0]);
});

test("LogBuffer.writeThrough: what a thread writes is not written twice", () => {
  const output = new SlowOutput();
  const { buffer } = bufferTo(output);
  buffer.write("one\n");
  buffer.write("two\n");
  buffer.writeThrough();
  assert.equal(output.text, "two\n");
});

test("LogBuffer.writeThrough: it gives up on an output that fails", () => {
  const output = new FakeOutput();
  const { buffer } = bufferTo(output);
  output.error = "EPIPE";
  buffer.write("one\n");
  buffer.writeThrough();
  buffer.write("the bug\n");
  assert.deepEqual([buffer.pendingLines, buffer.lastError], [2, "EPIPE"]);
});

for (const { bound, line, count } of [
  { bound: "lines", line: "short\n", count: bufferLinesMax / 2 },
  { bound: "bytes", line: `${"x".repeat(65_535)}\n`, count: bufferBytesMax / 2 / 65_536 },
]) {
  test(`LogBuffer: spare lines take half of its bound in ${bound}; what comes on top is counted apart, and others find room`, async () => {
    const output = new FakeOutput();
    const { clock, buffer } = bufferTo(output);
    output.roomBytes = 0;
    for (let index = 0; index < count + 7; index += 1) buffer.writeSpare(line);
    assert.deepEqual([buffer.pendingLines, buffer.stats], [count, { linesDropped: 0, spareLinesDropped: 7 }]);
    buffer.write("event\n");
    assert.equal(buffer.stats.linesDropped, 0);
    output.roomBytes = Infinity;
    await clock.advance(2000);
    assert.ok(output.text.endsWith(`${line}event\n`), "without a gap");
    assert.equal(output.text.length, count * line.length + "event\n".length);
    buffer.writeSpare("again\n");
    assert.ok(output.text.endsWith("again\n"));
  });
}
