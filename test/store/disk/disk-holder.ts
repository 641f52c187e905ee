/**
 * A process that holds the disk root of its argument until it is killed. It prints `held`, or `refused` and the reason.
 */
import { DiskRoot } from "../../../src/store/disk/disk-root.ts";

const [, , path] = process.argv;
let root: DiskRoot | undefined;
try {
  root = DiskRoot.open(path as string);
  console.log("held");
} catch (error) {
  console.log(`refused: ${(error as Error).message}`);
}
// The reference prevents that the DiskRoot is collected as garbage, with its lock.
setInterval(() => root?.replicaId, 60_000);
