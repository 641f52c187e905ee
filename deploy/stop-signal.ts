/** How the programs of this folder end: in order at the first signal, and at once at the second. */
import process from "node:process";

/** Resolves with the first signal to stop. A second one ends the process at once. */
export function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let asked = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (asked) process.exit(128 + (signal === "SIGINT" ? 2 : 15));
      asked = true;
      resolve(signal);
    });
  }
  return promise;
}
