/** A process that holds the disk root of its argument until it is killed; says `held`, or `refused` and why. */
import { DiskRoot } from "../../../src/store/disk/disk-root.ts";

const [, , path] = process.argv;
let root: DiskRoot | undefined;
try {
  root = DiskRoot.open(path as string);
  console.log("held");
} catch (error) {
  console.log(`refused: ${(error as Error).message}`);
}
// The reference keeps the lock from being collected with the object that holds it.
setInterval(() => root?.replicaId, 60_000);
