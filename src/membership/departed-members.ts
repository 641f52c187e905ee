/**
 * The members of a view that are dead or left, in the order in which they became so. A view remembers them for a time:
 * a dead one is asked whether it is back, and until gossip about a left one has ended, the entry keeps late statements
 * from reviving it. Neither reason is worth the place of a member that lives. So a full view forgets left members first,
 * then dead ones, and of both the oldest first.
 *
 * A member that is forgotten early can be learned again from a replica that still takes it for live. It does not answer,
 * so it is found dead once more. It is not learned again from those that know it as dead or left.
 */
import { LruMap } from "../base/lru-map.ts";
import type { Member } from "./member.ts";
import type { SwimSettings } from "./swim-settings.ts";

type Retention = Pick<SwimSettings, "deadRetentionMs" | "leftRetentionMs">;

export class DepartedMembers {
  readonly #retention: Retention;
  /** By id, since when. */
  readonly #left = new LruMap<string, number>();
  readonly #dead = new LruMap<string, number>();

  constructor(retention: Retention) {
    this.#retention = retention;
  }

  /** A member is in another state than before, since `sinceMs`. */
  note({ replicaId, state }: Member, sinceMs: number): void {
    this.#left.delete(replicaId);
    this.#dead.delete(replicaId);
    if (state === "left") this.#left.set(replicaId, sinceMs);
    if (state === "dead") this.#dead.set(replicaId, sinceMs);
  }

  /** Removes the member to forget where there is no room for another one, and returns its id. */
  takeOldest(): string | undefined {
    const departed = this.#left.size > 0 ? this.#left : this.#dead;
    const replicaId = departed.oldest?.key;
    if (replicaId !== undefined) departed.delete(replicaId);
    return replicaId;
  }

  /** Removes the members whose time has passed, and returns their ids. */
  takeExpired(nowMs: number): string[] {
    const { leftRetentionMs, deadRetentionMs } = this.#retention;
    return [
      ...takeUntil(this.#left, nowMs - leftRetentionMs),
      ...takeUntil(this.#dead, nowMs - deadRetentionMs),
    ];
  }
}

function takeUntil(departed: LruMap<string, number>, untilMs: number): string[] {
  const taken: string[] = [];
  for (let { oldest } = departed; oldest && oldest.value <= untilMs; { oldest } = departed) {
    departed.delete(oldest.key);
    taken.push(oldest.key);
  }
  return taken;
}
