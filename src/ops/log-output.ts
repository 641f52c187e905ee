/**
 * How the bytes of the log get to a file descriptor without holding up the event loop.
 *
 * Node sets the pipe or socket of standard output to non-blocking, so a write there returns at once: what does not fit is
 * EAGAIN. A thread would not help: it would hang with the reader, keep the process from ending, and have to wait for
 * threads that hang in a dead file system, of which the log should tell. A write to a file or a terminal may wait for the
 * device, and only a thread can do the waiting.
 */
import { fstatSync, write, writeSync } from "node:fs";

/** Called once for each write: with an error, or with the number of bytes that were written. */
export type LogWritten = (error: NodeJS.ErrnoException | null, writtenBytes: number) => void;

export interface LogOutput {
  /** Writes some of `bytes`, all if it can, and calls `done`: before it returns, or later. */
  write(bytes: Buffer, done: LogWritten): void;
  /** The same, finished when it returns. May wait for the device. @throws the error of the system. */
  writeNow(bytes: Buffer): number;
}

/** `fd` stays open: it belongs to the process. */
export function logOutput(fd: number): LogOutput {
  const writeNow = (bytes: Buffer): number => writeSync(fd, bytes);
  const stats = fstatSync(fd);
  if (!stats.isFIFO() && !stats.isSocket()) {
    return { write: (bytes, done) => write(fd, bytes, done), writeNow };
  }
  return {
    write: (bytes, done) => {
      let writtenBytes: number;
      try {
        writtenBytes = writeNow(bytes);
      } catch (error) {
        done(error as NodeJS.ErrnoException, 0);
        return;
      }
      done(null, writtenBytes);
    },
    writeNow,
  };
}
