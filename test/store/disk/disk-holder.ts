/**
 * A process that holds the disk root of its argument until it is killed. It prints `held`, or `refused` and the reason.
 * With a second argument it first becomes the user of that number, which only root can.
 */
import { DiskRoot } from "../../../src/store/disk/disk-root.ts";

const [, , path, user] = process.argv;
if (user !== undefined) process.setuid?.(Number(user));
let root: DiskRoot | undefined;
try {
  root = DiskRoot.open(path as string);
  console.log("held");
} catch (error) {
  console.log(`refused: ${(error as Error).message}`);
}
// The reference prevents that the DiskRoot is collected as garbage, with its lock.
setInterval(() => root?.replicaId, 60_000);
