/**
 * The directory a disk tier lives in, and the right to it. Two processes on one root would each evict against its
 * own account of the same bytes, so the second is refused for as long as the first lives.
 *
 * Node has no flock. A lock file with a pid in it needs somebody to judge whether that pid still lives and to take
 * the file over, and between the judging and the taking two can both win; pids of another container cannot be judged
 * at all. A lock of the kernel ends with its process, kill -9 included, and is granted to one. SQLite, which is part
 * of Node, takes such a lock (fcntl) for an exclusive transaction: here on an empty database that is never written.
 * The kernel also knows who holds it: /proc/locks names the pid, so nothing stale is ever read from a file.
 *
 * A lock of fcntl is lost when the process closes *any* descriptor of that file: nothing here opens `lock` but SQLite.
 * It also goes when the DiskRoot is collected as garbage, so whoever writes below a root keeps the root.
 *
 *     <disk.root>/orca-disk.v1/lock          held while the replica runs
 *     <disk.root>/orca-disk.v1/replica-id    the id below
 *     <disk.root>/orca-disk.v1/<replica-id>/ staging/ and two hex characters of fan-out
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { OrcaError } from "../../base/orca-error.ts";

const versionDirectory = "orca-disk.v1";
const reservedNames = new Set(["lock", "lock-journal", "replica-id", "replica-id.new"]);

export class DiskRoot {
  readonly replicaId: string;
  /** `<disk.root>/orca-disk.v1/<replica-id>` */
  readonly directory: string;
  readonly stagingDirectory: string;
  readonly #lock: DatabaseSync;

  private constructor(replicaId: string, directory: string, lock: DatabaseSync) {
    this.replicaId = replicaId;
    this.directory = directory;
    this.stagingDirectory = join(directory, "staging");
    this.#lock = lock;
  }

  /**
   * Takes the lock and makes the directories. Without `replicaId` the id of the last run stays, or a random one is
   * made; with another one than last time, the chunks move with it: their names do not depend on it.
   * @throws OrcaError `config_invalid`: held by another process, not writable, or an id no directory can have.
   */
  static open(root: string, replicaId?: string): DiskRoot {
    const base = join(root, versionDirectory);
    let lock: DatabaseSync | undefined;
    try {
      mkdirSync(base, { recursive: true });
      lock = acquireLock(join(base, "lock"), root);
      const id = settleReplicaId(base, replicaId);
      mkdirSync(join(base, id, "staging"), { recursive: true });
      return new DiskRoot(id, join(base, id), lock);
    } catch (error) {
      lock?.close();
      throw OrcaError.from(error, "config_invalid", "disk", `Cannot open disk root "${root}"`);
    }
  }

  /** The result of `make`, which then owns the root. Where it fails, releases the lock. */
  orClose<Made>(make: (root: DiskRoot) => Made): Made {
    try {
      return make(this);
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /** Gives the lock back. Exactly once, after the last write. */
  close(): void {
    this.#lock.close();
  }
}

function acquireLock(path: string, root: string): DatabaseSync {
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    // Without the pragma, SQLite would leave an empty journal next to the file.
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode !== sqliteBusy) throw error;
    throw new OrcaError(
      "config_invalid",
      "disk",
      `Cannot open disk root "${root}": ${holderOf(path)} uses it; give each replica a disk.root of its own`,
      { cause: error },
    );
  }
}

/** https://www.sqlite.org/rescode.html#busy */
const sqliteBusy = 5;

/** `process 1234` from /proc/locks (proc_locks(5)), or as much as can be known where it does not tell. */
function holderOf(path: string): string {
  try {
    const inode = statSync(path).ino;
    for (const line of readFileSync("/proc/locks", "utf8").split("\n")) {
      const match = /POSIX\s+ADVISORY\s+\w+\s+(\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line);
      if (match && Number(match[2]) === inode && Number(match[1]) > 0) return `process ${match[1]}`;
    }
  } catch {
    // Not Linux, or /proc is hidden: the refusal stands without a pid.
  }
  return "another process";
}

function settleReplicaId(base: string, wanted: string | undefined): string {
  const file = join(base, "replica-id");
  const last = readIfPresent(file)?.trim();
  const id = wanted ?? last ?? randomBytes(8).toString("hex");
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(id) || reservedNames.has(id)) {
    throw new OrcaError("config_invalid", "disk", `Cannot use replica id "${id}" as the name of a directory`);
  }
  if (last !== undefined && last !== id) renameIfPresent(join(base, last), join(base, id));
  if (last !== id) {
    writeFileSync(`${file}.new`, `${id}\n`);
    renameSync(`${file}.new`, file);
  }
  return id;
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function renameIfPresent(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
