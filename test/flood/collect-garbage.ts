/**
 * Loaded into replicas under attack: a signal collects garbage. V8 collects nothing while a process has nothing to do, so
 * without this what a replica leaks and what it will still collect would look the same.
 */
process.on("SIGUSR2", () => globalThis.gc?.());
