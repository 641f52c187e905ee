/**
 * The order of chunk paths in a listed store: 32 bits, made of the version's hash and the index, and then the paths
 * themselves. The chunks of one large object are spread over the whole order. Replicas compare their disks part by part
 * in this order, so it is the same on all of them, and is a part of the mesh protocol.
 */
import { mixedHash } from "../eviction/shared-columns.ts";
import { ChunkName } from "./chunk-name.ts";

const name = new ChunkName();

/** The order of a path, `<origin_id>/<hash>/<index>`: 0 to 2^32 - 1. 0 for a path that no chunk has. */
export function orderOfPath(path: string): number {
  return name.setPath(path) ? orderOfHash(rowHash(name.hashWords[0] as number, name.index)) : 0;
}

/** The words of a version's hash are random, but its chunks have the same ones. */
export function rowHash(firstWord: number, index: number): number {
  return mixedHash(firstWord ^ Math.imul(index, 0x9e3779b1));
}

/**
 * The bits of a hash from the last to the first. So a bucket of the hash chains, which the last bits name, holds an
 * interval of the order.
 */
export function orderOfHash(hash: number): number {
  let bits = ((hash >>> 1) & 0x5555_5555) | ((hash & 0x5555_5555) << 1);
  bits = ((bits >>> 2) & 0x3333_3333) | ((bits & 0x3333_3333) << 2);
  bits = ((bits >>> 4) & 0x0f0f_0f0f) | ((bits & 0x0f0f_0f0f) << 4);
  bits = ((bits >>> 8) & 0x00ff_00ff) | ((bits & 0x00ff_00ff) << 8);
  return ((bits >>> 16) | (bits << 16)) >>> 0;
}
