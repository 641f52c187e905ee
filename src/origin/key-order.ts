/** The order of keys in every S3 listing: by UTF-8 bytes. JavaScript compares UTF-16 units, which is another order. */
export function compareKeys(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const leftUnit = left.charCodeAt(index);
    const rightUnit = right.charCodeAt(index);
    if (leftUnit !== rightUnit) return rank(leftUnit) - rank(rightUnit);
  }
  return left.length - right.length;
}

/** Whether `key` sorts after `other` in a listing. */
export function isAfter(key: string, other: string): boolean {
  return other === "" ? key !== "" : compareKeys(key, other) > 0;
}

/** A place in the order that is after all keys with this beginning: no key has the last character of Unicode next to it. */
export function endOf(prefix: string): string {
  return `${prefix}\u{10FFFF}`;
}

/** In UTF-8, characters beyond U+FFFF sort after all others. Their surrogates do not: U+E000 to U+FFFF come after them. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
