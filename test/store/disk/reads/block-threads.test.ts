import assert from "node:assert/strict";
import fs, { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MiB } from "../../../../src/base/units.ts";
import type { SummedRead } from "../../../../src/store/chunk-file/block-sums.ts";
import { BlockTags } from "../../../../src/store/chunk-file/block-tags.ts";
import type { BlockRead } from "../../../../src/store/disk/reads/block-read.ts";
import { BlockThreads } from "../../../../src/store/disk/reads/block-threads.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { heldResources, released } from "../../../support/held-resources.ts";
import { patternBytes } from "../../../support/pattern.ts";
import { RecordedLogger } from "../../../support/recorded-logger.ts";
import { until } from "../../../support/until.ts";
import { faultyReadThread, noThread } from "./faulty-read-thread.ts";

const blocks = 4;
const content = patternBytes(1, 0, blocks * MiB);

class Fixture {
  readonly folder = mkdtempSync(join(tmpdir(), "orca-reads-"));
  readonly fd: number;
  readonly tags = new BlockTags();
  readonly clock = new FakeClock();
  readonly logger = new RecordedLogger();
  readonly threads: BlockThreads;
  crashes = 0;

  constructor(threadsMax = 3, module?: (folder: string) => URL) {
    const path = join(this.folder, "file");
    writeFileSync(path, content);
    this.fd = openSync(path, "r");
    this.threads = new BlockThreads({
      threadsMax,
      key: this.tags.key,
      clock: this.clock,
      logger: this.logger,
      onThreadCrash: () => {
        this.crashes += 1;
      },
      threadModule: module?.(this.folder),
    });
  }

  block(index: number, kind: BlockRead["kind"] = "both", lengthBytes = MiB): BlockRead {
    const target = Buffer.from(new SharedArrayBuffer(lengthBytes));
    return { fd: this.fd, target, position: index * MiB, kind };
  }

  /** Undefined where no thread waits. */
  tryRead(read: BlockRead): Promise<SummedRead | string> | undefined {
    const { promise, resolve } = Promise.withResolvers<SummedRead | string>();
    const isRead = this.threads.tryRead(read, (error, summed) => resolve(error?.code ?? summed));
    return isRead ? promise : undefined;
  }

  async read(read: BlockRead): Promise<SummedRead | string> {
    for (;;) {
      const reading = this.tryRead(read);
      if (reading) return reading;
      await until(() => this.threads.idle > 0);
    }
  }

  async startThreads(count: number): Promise<void> {
    while (this.threads.count < count) {
      const before = this.threads.count;
      const tried = Array.from({ length: before + 1 }, (_, index) =>
        this.tryRead(this.block(index % blocks)),
      );
      const readings = tried.filter((reading) => reading !== undefined);
      await Promise.all(readings);
      await until(() => this.threads.idle === this.threads.count);
    }
  }

  async close(): Promise<void> {
    await this.threads.stop();
    closeSync(this.fd);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function criterion(
  title: string,
  run: (fixture: Fixture) => Promise<void>,
  make = () => new Fixture(),
): void {
  test(`BlockThreads: ${title}`, async () => {
    const fixture = make();
    try {
      await run(fixture);
    } finally {
      await fixture.close();
    }
  });
}

criterion("a block is in the caller's memory, with the sums that this thread computes", async (fixture) => {
  for (const kind of ["crc", "both", "tag"] as const) {
    for (let index = 0; index < blocks; index += 1) {
      const read = fixture.block(index, kind);
      const bytes = content.subarray(index * MiB, (index + 1) * MiB);
      const sums = fixture.tags.summer.sums(kind, bytes);
      assert.deepEqual(await fixture.read(read), { bytesRead: MiB, sums });
      assert.ok(bytes.equals(read.target));
    }
  }
});

criterion("a read that finds no thread is told so, and starts one", async (fixture) => {
  const { threads } = fixture;
  assert.equal(fixture.tryRead(fixture.block(0)), undefined);
  assert.equal(fixture.tryRead(fixture.block(0)), undefined);
  assert.deepEqual([threads.count, threads.idle], [1, 0]);
  await until(() => threads.idle === 1);
  const reading = fixture.tryRead(fixture.block(0));
  assert.ok(reading);
  assert.equal(fixture.tryRead(fixture.block(0)), undefined);
  assert.equal(threads.count, 2);
  await reading;
});

criterion("there are at most threadsMax threads, and one read a thread", async (fixture) => {
  await fixture.startThreads(3);
  const tried = Array.from({ length: 20 }, (_, index) => fixture.tryRead(fixture.block(index % blocks)));
  const readings = tried.filter((reading) => reading !== undefined);
  assert.equal(readings.length, 3);
  await Promise.all(readings);
  assert.deepEqual([fixture.threads.count, fixture.threads.idle], [3, 3]);
});

criterion("a short read has no sums, and a failed one the code of its error", async (fixture) => {
  assert.deepEqual(await fixture.read(fixture.block(blocks)), { bytesRead: 0, sums: undefined });
  const read = { ...fixture.block(blocks - 1), position: content.length - 5 };
  assert.deepEqual(await fixture.read(read), { bytesRead: 5, sums: undefined });
  assert.equal(await fixture.read({ ...fixture.block(0), fd: 1_000_000 }), "EBADF");
  assert.deepEqual([fixture.crashes, fixture.threads.idle], [0, 1]);
});

criterion(
  "a thread that dies fails its read with EAGAIN, is counted and logged, and another one takes its place",
  async (fixture) => {
    assert.deepEqual(await fixture.read(fixture.block(0)), {
      bytesRead: MiB,
      sums: fixture.tags.summer.sums("both", content.subarray(0, MiB)),
    });
    assert.equal(await fixture.read(fixture.block(0)), "EAGAIN");
    assert.deepEqual([fixture.crashes, fixture.threads.count, fixture.logger.count("error")], [1, 0, 1]);
    assert.notEqual(await fixture.read(fixture.block(1)), "EAGAIN");
    // The log has one line a minute.
    assert.equal(await fixture.read(fixture.block(1)), "EAGAIN");
    assert.deepEqual([fixture.crashes, fixture.logger.count("error")], [2, 1]);
  },
  () => new Fixture(1, () => faultyReadThread({ after: 1, crash: true })),
);

criterion(
  "a thread that the system does not start is logged and tried again later, and no read waits for it",
  async (fixture) => {
    const { clock, threads, logger } = fixture;
    for (let read = 0; read < 3; read += 1) assert.equal(fixture.tryRead(fixture.block(0)), undefined);
    assert.deepEqual([threads.count, fixture.crashes, logger.count("warn")], [0, 0, 1]);
    await clock.advance(60_000);
    assert.equal(fixture.tryRead(fixture.block(0)), undefined);
    assert.deepEqual([threads.count, logger.count("warn")], [0, 2]);
  },
  () => new Fixture(1, () => noThread),
);

criterion(
  "a stop waits for the read that runs, which ends as usual",
  async (fixture) => {
    await fixture.read(fixture.block(0));
    const read = fixture.block(2);
    const reading = fixture.tryRead(read);
    assert.ok(reading);
    await until(() => existsSync(join(fixture.folder, "gate.waiting")));
    let isStopped = false;
    const stopping = fixture.threads.stop().then(() => {
      isStopped = true;
    });
    assert.equal(fixture.tryRead(fixture.block(0)), undefined);
    assert.equal(isStopped, false);
    fs.writeFileSync(join(fixture.folder, "gate"), "");
    assert.equal(((await reading) as SummedRead).bytesRead, MiB);
    assert.ok(content.subarray(2 * MiB, 3 * MiB).equals(read.target));
    await stopping;
    assert.deepEqual([fixture.threads.count, fixture.crashes], [0, 0]);
  },
  () => new Fixture(1, (folder) => faultyReadThread({ after: 1, gate: join(folder, "gate") })),
);

test("BlockThreads: a stop ends all threads, also one that is starting", async () => {
  const before = await heldResources();
  const fixture = new Fixture();
  await fixture.startThreads(2);
  const tried = Array.from({ length: 3 }, () => fixture.tryRead(fixture.block(0)));
  const readings = tried.filter((reading) => reading !== undefined);
  assert.equal(fixture.threads.count, 3);
  await fixture.close();
  await Promise.all(readings);
  assert.deepEqual([fixture.threads.count, fixture.crashes], [0, 0]);
  await released(before);
});
