/** A digest thread that dies of the first chunk it is asked about. */
import { parentPort } from "node:worker_threads";

parentPort?.on("message", () => {
  throw new Error("no digest today");
});
