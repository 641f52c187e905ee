/**
 * The places in docs/ that explain what a warning is about. A warning of the log carries one as its field `see`, so that
 * the person who reads it at night need not search. A test checks that each place exists.
 */
const symptoms = "docs/operations/symptoms.md";

export const pages = {
  originUnreadable: `${symptoms}#an-origin-cannot-be-read`,
  doesNotJoin: `${symptoms}#a-replica-does-not-join`,
} as const;
