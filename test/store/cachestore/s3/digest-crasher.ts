/** A digest thread that dies at the first chunk. */
import { parentPort } from "node:worker_threads";

parentPort?.on("message", () => {
  throw new Error("no digest today");
});
