/**
 * "Did you mean …?" for a mistyped key, choice or variable: the nearest known word by edit distance, or nothing where no
 * word is near, because a wrong suggestion misleads more than none.
 */

/** The known word nearest to `word`, or undefined where none is within a third of its length. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const given = folded(word);
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const target = folded(candidate);
    const allowed = Math.max(1, Math.floor(target.length / 3));
    // The distance is at least the difference in length, so a huge word is never compared.
    if (Math.abs(target.length - given.length) > allowed) continue;
    const distance = editDistance(given, target);
    if (distance <= allowed && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** The end of a message: `; did you mean \`x\`?`, or nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const suggestion = nearest(word, known);
  return suggestion === undefined ? "" : `; did you mean \`${suggestion}\`?`;
}

/** Makes `maxBytes`, `max-bytes` and `MAX_BYTES` equal to `max_bytes`. */
function folded(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, "");
}

/**
 * How many insertions, deletions, substitutions and swaps of neighbours turn `a` into `b` (optimal string alignment,
 * https://en.wikipedia.org/wiki/Damerau-Levenshtein_distance).
 */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const substitution = a[row - 1] === b[column - 1] ? 0 : 1;
      let distance = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + substitution,
      );
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) distance = Math.min(distance, at(beforePrevious, column - 2) + 1);
      current.push(distance);
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
