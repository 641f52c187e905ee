/** Whether the disk tier can use its directory: it exists or can be made, is written to, is a disk, and has room. */
import { accessSync, constants, existsSync, mkdtempSync, rmdirSync, statfsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { formatBytes } from "../../base/units.ts";
import { diskChunksMax } from "../../chunk/chunk-costs.ts";
import type { Config } from "../../config/config.ts";
import { type DoctorFinding, Findings } from "./doctor-finding.ts";

/** Linux, statfs(2). */
const tmpfsType = 0x01_02_19_94;

const findings = new Findings("disk");

export function diskFindings({ disk, memory }: Config): DoctorFinding[] {
  if (!disk) return [findings.skipped("disk.root is not set: chunks are kept in memory only")];
  const { root } = disk;
  const place = existingAbove(root);
  const unusable = faultOf(root, place);
  if (unusable) return [unusable];
  const { type, bavail, bsize, files, ffree } = statfsSync(place);
  const found: DoctorFinding[] = [];
  if (type === tmpfsType) {
    const what = `"${root}" is in memory (tmpfs): chunks there are lost with the host, and take memory twice`;
    found.push(findings.warning(what, "Set disk.root to a directory on a disk, or leave disk out."));
  }
  // What an earlier run stored is in use, and counts for disk.max_bytes.
  const isNew = !existsSync(join(root, "orca-disk.v1"));
  const freeBytes = bavail * bsize;
  if (isNew && freeBytes < disk.maxBytes) {
    const what = `${formatBytes(freeBytes)} are free below "${root}", and disk.max_bytes is ${formatBytes(disk.maxBytes)}`;
    found.push(findings.warning(what, "Make room, or set disk.max_bytes to less than what is free."));
  }
  const chunksMax = disk.maxChunks ?? diskChunksMax(memory.maxBytes);
  // Some file systems have no fixed number of files, and say 0.
  if (isNew && files > 0 && ffree < chunksMax) {
    const what = `The file system of "${root}" has room for ${ffree} more files, and up to ${chunksMax} chunks are kept, each in a file`;
    found.push(
      findings.warning(what, "Make the file system with more inodes, or set disk.max_chunks lower."),
    );
  }
  return found.length > 0
    ? found
    : [findings.ok(`"${root}" can be written, and ${formatBytes(freeBytes)} are free`)];
}

/** The directory itself, or the nearest one above that exists. */
function existingAbove(root: string): string {
  let path = root;
  while (!existsSync(path) && dirname(path) !== path) path = dirname(path);
  return path;
}

function faultOf(root: string, place: string): DoctorFinding | undefined {
  const remedy = "Set disk.root to a directory that the user of orca serve can make and write to.";
  if (!statSync(place).isDirectory()) return findings.problem(`"${place}" is not a directory`, remedy);
  try {
    if (place === root) rmdirSync(mkdtempSync(join(root, ".orca-doctor-")));
    else accessSync(place, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (thrown) {
    const { code = "unknown error" } = thrown as NodeJS.ErrnoException;
    const what =
      place === root
        ? `Cannot write to "${root}": ${code}`
        : `Cannot make "${root}" below "${place}": ${code}`;
    return findings.problem(what, remedy);
  }
}
