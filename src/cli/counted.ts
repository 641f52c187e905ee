/** `1 chunk`, `2 chunks`: for nouns whose plural is their singular and an s. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
