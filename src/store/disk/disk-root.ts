/**
 * The directory of a disk tier, and its lock. Two processes on one root would each evict by its own account of the same
 * bytes, so the second cannot open the root while the first lives.
 *
 * Node has no flock. A lock file with a pid needs a process that judges whether that pid still lives and then takes the
 * file over; between the two steps, two processes can both win. Pids of another container cannot be judged at all. A
 * lock of the kernel ends with its process, even with kill -9, and only one process gets it. SQLite, which is part of
 * Node, takes such a lock (fcntl) for an exclusive transaction: here on an empty database that is never written. The
 * kernel also knows the holder: /proc/locks names the pid, so no file can hold a stale one.
 *
 * A lock of fcntl is lost when the process closes *any* descriptor of that file, so only SQLite opens `lock`. It is
 * also lost when the DiskRoot is collected as garbage, so a part that writes below a root keeps the DiskRoot.
 *
 *     <disk.root>/orca-disk.v1/lock          held while the replica runs
 *     <disk.root>/orca-disk.v1/replica-id    the id in the next line
 *     <disk.root>/orca-disk.v1/<replica-id>/ staging/ and two hex characters of fan-out
 */

import { randomBytes } from "node:crypto";
import fs, { accessSync, constants, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { makeDirectories } from "../../base/make-directories.ts";
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
   * Takes the lock and creates the directories. Without `replicaId`, the id of the last run stays, or a random one is
   * made. With a new id, the directory of the last run is renamed, and the chunks stay: their names do not depend on
   * the id.
   * @throws OrcaError `config_invalid` if another process holds the lock, the root is not writable, or a directory
   * cannot have the id as its name.
   */
  static open(root: string, replicaId?: string): DiskRoot {
    const base = join(root, versionDirectory);
    let lock: DatabaseSync | undefined;
    try {
      makeDirectories(fs, base);
      lock = acquireLock(join(base, "lock"), root);
      const id = settleReplicaId(base, replicaId);
      makeDirectories(fs, join(base, id, "staging"));
      // Those that were there may be another user's. SQLite locks a file that it cannot write, too.
      for (const path of [base, join(base, "lock"), join(base, id), join(base, id, "staging")]) {
        accessSync(path, constants.R_OK | constants.W_OK);
      }
      return new DiskRoot(id, join(base, id), lock);
    } catch (error) {
      lock?.close();
      throw unusable(root, error);
    }
  }

  /** The result of `make`, which then owns the root. If `make` fails, the lock is released. */
  orClose<Made>(make: (root: DiskRoot) => Made): Made {
    try {
      return make(this);
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /** Releases the lock. To be called once, after the last write. */
  close(): void {
    this.#lock.close();
  }
}

const remedies: Readonly<Record<string, string>> = {
  ENOSPC: "Make room there",
  EDQUOT: "Make room there",
  EACCES: "Give it to Orca's user with all that is in it, or set disk.root to another directory",
};

/** Not for a lock that another process holds: that error says itself what to do. */
function unusable(root: string, thrown: unknown): OrcaError {
  const error = OrcaError.from(thrown, "config_invalid", "disk", `Cannot open disk root "${root}"`);
  if (error === thrown) return error;
  const remedy =
    remedies[String((thrown as NodeJS.ErrnoException).code)] ??
    "Set disk.root to a directory that Orca's user can make and write to";
  return new OrcaError("config_invalid", "disk", `${error.message}. ${remedy}`, { cause: thrown });
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
      `Cannot open disk root "${root}": ${holderOf(path)} uses it. Give each replica a disk.root of its own`,
      { cause: error },
    );
  }
}

/** https://www.sqlite.org/rescode.html#busy */
const sqliteBusy = 5;

/** `process 1234` from /proc/locks (proc_locks(5)), or `another process` if the pid is unknown. */
function holderOf(path: string): string {
  try {
    const inode = statSync(path).ino;
    for (const line of readFileSync("/proc/locks", "utf8").split("\n")) {
      const match = /POSIX\s+ADVISORY\s+\w+\s+(\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line);
      if (match && Number(match[2]) === inode && Number(match[1]) > 0) return `process ${match[1]}`;
    }
  } catch {
    // Not Linux, or /proc is hidden: the message has no pid.
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
