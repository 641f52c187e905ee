/**
 * Under which names objects and listings are placed. All replicas must agree on them to the letter, or each finds
 * another coordinator. All pages of a prefix have one coordinator.
 */
import type { ListRequest, ObjectLocation } from "../origin/origin.ts";

export function objectPlacementName(originId: string, { bucket, key }: ObjectLocation): string {
  return `object/${originId}/${bucket}/${key}`;
}

export function listPlacementName(originId: string, { bucket, prefix }: ListRequest): string {
  return `list/${originId}/${bucket}/${prefix}`;
}
