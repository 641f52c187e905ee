/** Queues of rows that are linked in arrays. An entry leaves its queue in a few writes, whatever its position. */
import { assert } from "../../base/assert.ts";
import { noRow } from "./eviction-policy.ts";
import { sharedBytes, sharedNumbers } from "./shared-columns.ts";

/** Nine bytes a row. A row is in one queue at a time, so all queues of a policy share the columns. */
export class QueueColumns {
  /** The neighbours of a row in its queue: the row pushed after it, and the row pushed before it. */
  readonly newer: Uint32Array;
  readonly older: Uint32Array;
  /** The number of the queue that the row is in, 0 for none, and from bit 3 on the uses that the policy still counts. */
  readonly state: Uint8Array;

  constructor(rowsMax: number) {
    this.newer = sharedNumbers(rowsMax + 1);
    this.older = sharedNumbers(rowsMax + 1);
    this.state = sharedBytes(rowsMax + 1);
  }

  queueOf(row: number): number {
    return (this.state[row] as number) & 7;
  }

  frequencyOf(row: number): number {
    return (this.state[row] as number) >>> 3;
  }

  setFrequency(row: number, frequency: number): void {
    this.state[row] = ((this.state[row] as number) & 7) | (frequency << 3);
  }
}

export class RowQueue {
  readonly #columns: QueueColumns;
  readonly #number: number;
  #newest = noRow;
  #oldest = noRow;
  #bytes = 0;

  /** `number`: 1 to 7, another for each queue. */
  constructor(columns: QueueColumns, number: number) {
    this.#columns = columns;
    this.#number = number;
  }

  /** Sum of the sizes of its entries. */
  get bytes(): number {
    return this.#bytes;
  }

  get oldest(): number {
    return this.#oldest;
  }

  push(row: number, sizeBytes: number): void {
    const { newer, older, state } = this.#columns;
    assert(((state[row] as number) & 7) === 0, "an entry is in one queue at a time");
    state[row] = (state[row] as number) | this.#number;
    older[row] = this.#newest;
    newer[row] = noRow;
    if (this.#newest === noRow) this.#oldest = row;
    else newer[this.#newest] = row;
    this.#newest = row;
    this.#bytes += sizeBytes;
  }

  /** One of its entries has grown. */
  grow(addedBytes: number): void {
    this.#bytes += addedBytes;
  }

  remove(row: number, sizeBytes: number): void {
    const { newer, older, state } = this.#columns;
    assert(((state[row] as number) & 7) === this.#number, "an entry leaves the queue that it is in");
    const after = newer[row] as number;
    const before = older[row] as number;
    if (after === noRow) this.#newest = before;
    else older[after] = before;
    if (before === noRow) this.#oldest = after;
    else newer[before] = after;
    state[row] = (state[row] as number) & ~7;
    this.#bytes -= sizeBytes;
  }
}
