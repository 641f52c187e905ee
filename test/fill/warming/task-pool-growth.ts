/** Measures what each short task leaves on the heap while one task lasts. */
import { TaskPool } from "../../../src/fill/warming/task-pool.ts";

const tasks = Number(process.argv[2]);
const pool = new TaskPool(() => 2);
const long = Promise.withResolvers<void>();
await pool.start(() => long.promise);
globalThis.gc?.();
const before = process.memoryUsage().heapUsed;
for (let count = 0; count < tasks; count += 1) await pool.start(() => Promise.resolve());
globalThis.gc?.();
const heapBytes = process.memoryUsage().heapUsed - before;
long.resolve();
await pool.ended();
console.log(JSON.stringify({ heapBytes }));
