/**
 * An entry of a tier, with the state that the eviction policy keeps for it. The state lies in the entry, so that the
 * policy needs no look-up of its own.
 */

/** A queue of the policy, as far as the entry needs it. */
interface Queue {
  remove(entry: Evictable): void;
}

/** The fields after `sizeBytes` belong to the policy that holds the entry. An entry is in one policy at a time. */
export class Evictable {
  /** Unique in the tier: the memory key or the chunk path. */
  readonly key: string;
  readonly sizeBytes: number;
  /** Uses that the policy still counts. */
  frequency = 0;
  /** Bytes that were inserted into the policy before this entry. */
  arrivedAtBytes = 0;
  /** The place of its key in [0, 1). It decides whether the policy samples the uses of this entry. */
  sampleAt = 0;
  /** The queue that the entry is in; undefined while no policy holds the entry. */
  queue: Queue | undefined = undefined;
  /** Its neighbours in the queue: the entry pushed after it, and the entry pushed before it. */
  newer: Evictable | undefined = undefined;
  older: Evictable | undefined = undefined;

  constructor(key: string, sizeBytes: number) {
    this.key = key;
    this.sizeBytes = sizeBytes;
  }
}
