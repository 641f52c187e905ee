/**
 * What checking signatures costs: 4 KiB ranges from memory, with SigV4 in the headers, from a replica that verifies them
 * and from one that does not. Both get the same bytes, so what differs is the verification alone.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { GiB, KiB } from "../../src/base/units.ts";
import { signedHead } from "../support/signed-get.ts";
import type { LoadRequest } from "./http-load.ts";
import type { Workload } from "./workload.ts";

const key = { accessKeyId: "bench-reader", secretAccessKey: "bench-secret-of-reader" };
const rangeBytes = 4 * KiB;
const path = `/bench/ranges-${GiB}`;
/** As many different requests are signed before anything is measured. */
const requestsCount = 256;

/** The least share of requests a second that a replica that verifies has to reach. */
export const authBound = 0.85;

/** Writes the file of the key that {@link authWorkload} signs with. */
export function writeAccessKeys(folder: string): string {
  const file = join(folder, "keys.yaml");
  const { accessKeyId, secretAccessKey } = key;
  writeFileSync(
    file,
    `keys: [{ access_key: ${accessKeyId}, secret: ${secretAccessKey}, buckets: [bench] }]\n`,
  );
  return file;
}

export async function authWorkload(): Promise<Workload> {
  const at = new Date();
  const requests = await Promise.all(
    Array.from({ length: requestsCount }, async (): Promise<LoadRequest> => {
      const start = Math.floor(Math.random() * (GiB - rangeBytes));
      const range = `${start}-${start + rangeBytes - 1}`;
      const { headers } = await signedHead(key, {
        host: "bench",
        path,
        at,
        headers: { range: `bytes=${range}` },
      });
      return { path, range, bodyBytes: rangeBytes, headers: linesOf(headers) };
    }),
  );
  const whole = await signedHead(key, { host: "bench", path, at });
  return {
    name: "signed 4 KiB ranges, 32 connections",
    connections: 32,
    objects: [{ path, range: "", bodyBytes: GiB, headers: linesOf(whole.headers) }],
    next: () => requests[Math.floor(Math.random() * requests.length)] as LoadRequest,
  };
}

/** Without those that the load generator writes itself. */
function linesOf(headers: Readonly<Record<string, string>>): string {
  return Object.entries(headers)
    .filter(([name]) => name !== "host" && name !== "range")
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");
}
