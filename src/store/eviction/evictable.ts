/** The queue an entry stands in, as far as the entry knows it. */
interface Queue {
  remove(entry: Evictable): void;
}

/**
 * What a tier's entries extend. The fields after `sizeBytes` belong to the policy that holds the entry; an entry is in
 * one policy at a time.
 */
export class Evictable {
  /** The chunk path. */
  readonly key: string;
  readonly sizeBytes: number;
  /** Uses that the policy still gives credit for. */
  frequency = 0;
  /** How many bytes had been inserted into the policy when this entry came. */
  arrivedAtBytes = 0;
  /** Where its key falls in [0, 1), which decides whether its uses are sampled. */
  sampleAt = 0;
  /** The queue the entry stands in; undefined while no policy holds it. */
  queue: Queue | undefined = undefined;
  /** Its neighbours in the queue: the one that came after it, and the one that came before. */
  newer: Evictable | undefined = undefined;
  older: Evictable | undefined = undefined;

  constructor(key: string, sizeBytes: number) {
    this.key = key;
    this.sizeBytes = sizeBytes;
  }
}
