/**
 * How large a message of the mesh may be, chunk bytes apart. It bounds what a peer can make us hold for one call, and
 * the parts that fill messages (gossip, pages of a listing) keep theirs below it.
 */
import { MiB } from "../../base/units.ts";

export const messageBytesMax = MiB + 64 * 1024;

/** Replicas that one request may say it could not reach. Whoever lost more names the first ones, and may be refused. */
export const passedOverMax = 64;
