/** Loaded into a process before Orca (`node --import`): all memory that the engine frees is overwritten at once. */
import { MemoryBudget } from "../../../src/base/memory-budget.ts";
import type { Piece } from "../../../src/base/segment-pool.ts";

const poison = 0xee;

const { prototype } = MemoryBudget;
const release = Object.getOwnPropertyDescriptor(prototype, "releasePiece")?.value as (
  this: MemoryBudget,
  piece: Piece,
) => void;

prototype.releasePiece = function poisoned(piece): void {
  piece.bytes.fill(poison);
  release.call(this, piece);
};
