/**
 * The chunks of a disk in columns of numbers: 66 bytes a chunk, where objects in a Map took 280 bytes of heap. There are no
 * objects in the columns, so that threads can share them. A chunk has a row, a number from 1 to rowsMax, until it is
 * removed. A row holds the name in binary, from which the chunk path is built again.
 *
 * The order of the table follows the bits of the hash of a row, the first bit first. The buckets of the chains follow
 * the same bits, the last one first. So a bucket holds an interval of the order, whatever the number of buckets, and a
 * page of the order takes a walk over a few buckets. Blocks of partial chunks are on no page, so they have chains of
 * their own: a walk over millions of them to find one whole chunk took seconds, in one turn of the event loop.
 *
 * Invariants:
 * 1. A row is in use if its size is not 0. Every row in use is in #chains, or in #blockChains if it is a block; every
 *    other row up to #rowsUsed is in #free.
 * 2. The rows of one version that were not detached form a ring, and exactly one of them is in #versions.
 */
import { assert } from "../../base/assert.ts";
import { noRow, type PolicyEntries } from "../eviction/eviction-policy.ts";
import { sharedNumbers } from "../eviction/shared-columns.ts";
import { ChunkName, hashWordsCount } from "./chunk-name.ts";
import { orderOfHash, rowHash } from "./chunk-order.ts";
import { HashChains } from "./hash-chains.ts";
import { OriginNumbers } from "./origin-numbers.ts";

/** The fields of a row, after the words of the hash. One row lies in one place, because a look-up reads all its name. */
const indexAt = hashWordsCount;
const sizeAt = indexAt + 1;
/** Bits 0 to 15: the number of the origin. 16 to 23: {@link ChunkTable.noteOf}. 24 to 31: {@link ChunkTable.marksOf}. */
const packedAt = indexAt + 2;
const newerInRingAt = indexAt + 3;
const olderInRingAt = indexAt + 4;
const rowLength = indexAt + 5;

/** Longer chains take less memory. A version is looked up by writes, and a block only where memory misses it. */
const versionsPerBucket = 3;
const blocksPerBucket = 6;

export class ChunkTable implements PolicyEntries {
  readonly rowsMax: number;
  readonly #rows: Uint32Array;
  /** The same memory. */
  readonly #bytes: Buffer;
  readonly #chains: HashChains;
  readonly #blockChains: HashChains;
  /** One row of each version. */
  readonly #versions: HashChains;
  readonly #origins = new OriginNumbers();
  readonly #name = new ChunkName();
  /** The first free row. The next ones follow in the field of the newer row of the ring. */
  #free = noRow;
  #rowsUsed = 0;
  #count = 0;

  constructor(rowsMax: number) {
    this.rowsMax = rowsMax;
    this.#rows = sharedNumbers((rowsMax + 1) * rowLength);
    this.#bytes = Buffer.from(this.#rows.buffer);
    const hashOf = (row: number): number => this.hashOf(row);
    this.#chains = new HashChains(rowsMax, 1, hashOf);
    this.#blockChains = new HashChains(rowsMax, blocksPerBucket, hashOf, this.#chains.next);
    this.#versions = new HashChains(rowsMax, versionsPerBucket, (row) => this.#field(row, 1));
  }

  get count(): number {
    return this.#count;
  }

  /** Of these, the blocks of partial chunks. */
  get blockCount(): number {
    return this.#origins.blockRows;
  }

  /** All rows in use have this number or a lower one. */
  get rowsUsed(): number {
    return this.#rowsUsed;
  }

  isUsed(row: number): boolean {
    return this.sizeOf(row) !== 0;
  }

  sizeOf(row: number): number {
    return this.#field(row, sizeAt);
  }

  hashOf(row: number): number {
    return rowHash(this.#field(row, 0), this.#field(row, indexAt));
  }

  /** Eight bits for the owner of the table. */
  noteOf(row: number): number {
    return (this.#field(row, packedAt) >>> 16) & 0xff;
  }

  setNote(row: number, note: number): void {
    const at = row * rowLength + packedAt;
    this.#rows[at] = ((this.#rows[at] as number) & 0xff00_ffff) | ((note & 0xff) << 16);
  }

  /** Eight more bits for the owner of the table. */
  marksOf(row: number): number {
    return this.#field(row, packedAt) >>> 24;
  }

  setMarks(row: number, marks: number): void {
    const at = row * rowLength + packedAt;
    this.#rows[at] = ((this.#rows[at] as number) & 0x00ff_ffff) | (marks << 24);
  }

  /** The row of a chunk, {@link noRow} if it has none. */
  rowOf(originId: string, versionHash: string, index: number): number {
    return this.#name.set(originId, versionHash, index) ? this.#find() : noRow;
  }

  rowOfPath(path: string): number {
    return this.#name.setPath(path) ? this.#find() : noRow;
  }

  pathOf(row: number): string {
    const at = row * rowLength * 4;
    const hash = this.#bytes.toString("hex", at, at + hashWordsCount * 4);
    return `${this.#origins.idOf(this.#originOf(row))}/${hash}/${this.#field(row, indexAt)}`;
  }

  /** Whether a row can hold this path. */
  canName(path: string): boolean {
    return this.#name.setPath(path) && this.#origins.canHold(this.#name.originId);
  }

  /** Whether {@link add} can add this path now. */
  canAdd(path: string): boolean {
    return this.#count < this.rowsMax && this.canName(path);
  }

  /** The row of a chunk that has none so far. */
  add(path: string, sizeBytes: number): number {
    assert(this.canAdd(path), "a chunk is added if there is a row for it");
    assert(this.#find() === noRow, "a chunk is added once");
    assert(sizeBytes > 0 && sizeBytes < 2 ** 32, "the size of a chunk file has 32 bits");
    const row = this.#takeRow();
    const at = row * rowLength;
    this.#rows.set(this.#name.hashWords, at);
    this.#rows[at + indexAt] = this.#name.index;
    this.#rows[at + sizeAt] = sizeBytes;
    this.#rows[at + packedAt] = this.#origins.take(this.#name.originId);
    this.#chainsOf(this.#originOf(row)).add(row);
    this.#joinVersion(row);
    this.#count += 1;
    return row;
  }

  remove(row: number): void {
    assert(this.isUsed(row), "a row is removed once");
    this.#leaveVersion(row);
    const origin = this.#originOf(row);
    this.#chainsOf(origin).remove(row);
    this.#origins.release(origin);
    this.#rows[row * rowLength + sizeAt] = 0;
    this.#rows[row * rowLength + newerInRingAt] = this.#free;
    this.#free = row;
    this.#count -= 1;
  }

  /** A row of the version, which is from now on in no ring; {@link noRow} if there is none left. */
  detachOneOf(originId: string, versionHash: string): number {
    if (!this.#name.set(originId, versionHash, 0)) return noRow;
    const first = this.#findVersion(this.#origins.find(originId));
    if (first === noRow) return noRow;
    // Preferably not the one in #versions, because that one must be replaced there.
    const row = this.#field(first, newerInRingAt);
    this.#leaveVersion(row);
    return row;
  }

  /** The paths of whole chunks after `after` in the order of the table (empty: those from `fromOrder` on), at most `pathsMax`. */
  pathsAfter(after: string, pathsMax: number, fromOrder = 0): string[] {
    const found: string[] = [];
    const isKnown = after !== "" && this.#name.setPath(after);
    let order = isKnown
      ? orderOfHash(rowHash(this.#name.hashWords[0] as number, this.#name.index))
      : fromOrder;
    let last = isKnown ? { order, path: after } : undefined;
    while (order < 2 ** 32 && found.length < pathsMax) {
      const { bucket, end } = this.#intervalAt(order);
      const named: { order: number; path: string }[] = [];
      for (let row = this.#chains.firstIn(bucket); row !== noRow; row = this.#chains.next[row] as number) {
        const each = { order: orderOfHash(this.hashOf(row)), path: this.pathOf(row) };
        if (last ? compare(each, last) > 0 : each.order >= order) named.push(each);
      }
      for (const { path } of named.sort(compare)) if (found.length < pathsMax) found.push(path);
      order = end;
      last = undefined;
    }
    return found;
  }

  #field(row: number, field: number): number {
    return this.#rows[row * rowLength + field] as number;
  }

  #originOf(row: number): number {
    return this.#field(row, packedAt) & 0xffff;
  }

  #takeRow(): number {
    const row = this.#free;
    if (row === noRow) {
      this.#rowsUsed += 1;
      return this.#rowsUsed;
    }
    this.#free = this.#field(row, newerInRingAt);
    return row;
  }

  /** The row of {@link #name}. */
  #find(): number {
    const { hashWords, index, originId } = this.#name;
    const origin = this.#origins.find(originId);
    if (origin === undefined) return noRow;
    const chains = this.#chainsOf(origin);
    let row = chains.firstOf(rowHash(hashWords[0] as number, index));
    for (; row !== noRow; row = chains.next[row] as number) {
      if (this.#field(row, indexAt) !== index || this.#originOf(row) !== origin) continue;
      if (this.#isOfVersion(row)) return row;
    }
    return noRow;
  }

  #chainsOf(origin: number): HashChains {
    return this.#origins.isOfBlocks(origin) ? this.#blockChains : this.#chains;
  }

  /** The row in #versions of the version of {@link #name}. */
  #findVersion(origin: number | undefined): number {
    let row = this.#versions.firstOf(this.#name.hashWords[1] as number);
    for (; row !== noRow; row = this.#versions.next[row] as number) {
      if (this.#originOf(row) === origin && this.#isOfVersion(row)) return row;
    }
    return noRow;
  }

  #isOfVersion(row: number): boolean {
    const at = row * rowLength;
    const { hashWords } = this.#name;
    for (let word = 0; word < hashWordsCount; word += 1) {
      if (this.#rows[at + word] !== hashWords[word]) return false;
    }
    return true;
  }

  /** Adds a row, whose name {@link #name} holds, to the ring of its version. */
  #joinVersion(row: number): void {
    const first = this.#findVersion(this.#originOf(row));
    if (first === noRow) {
      this.#link(row, row);
      this.#versions.add(row);
      return;
    }
    this.#link(row, this.#field(first, newerInRingAt));
    this.#link(first, row);
  }

  #leaveVersion(row: number): void {
    const newer = this.#field(row, newerInRingAt);
    const wasFirst = this.#versions.remove(row);
    if (newer === row) return;
    this.#link(this.#field(row, olderInRingAt), newer);
    this.#link(row, row);
    if (wasFirst) this.#versions.add(newer);
  }

  #link(older: number, newer: number): void {
    this.#rows[older * rowLength + newerInRingAt] = newer;
    this.#rows[newer * rowLength + olderInRingAt] = older;
  }

  /** The bucket whose interval of the order contains `order`, and the end of that interval. */
  #intervalAt(order: number): { readonly bucket: number; readonly end: number } {
    const { buckets } = this.#chains;
    let bits = 32 - Math.clz32(buckets - 1);
    if (buckets === 1) bits = 0;
    const halfway = bits > 0 ? 2 ** (bits - 1) : 0;
    let bucket = bits === 0 ? 0 : orderOfHash(order) % 2 ** bits;
    if (bits > 0 && bucket >= buckets) bucket -= halfway;
    if (bits > 0 && bucket < halfway && bucket + halfway >= buckets) bits -= 1;
    const length = 2 ** (32 - bits);
    return { bucket, end: (Math.floor(order / length) + 1) * length };
  }
}

interface Ordered {
  readonly order: number;
  readonly path: string;
}

function compare(left: Ordered, right: Ordered): number {
  if (left.order !== right.order) return left.order - right.order;
  return left.path < right.path ? -1 : Number(left.path > right.path);
}
