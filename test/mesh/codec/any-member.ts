/** Members of any kind that a view may hold, for property tests of what is said about them. */
import fc from "fast-check";
import { incarnationMax, type Member, memberStates } from "../../../src/membership/member.ts";
import { anyText } from "../../support/any-text.ts";

export const anyMember: fc.Arbitrary<Member> = fc.record(
  {
    replicaId: anyText({ minLength: 1, maxLength: 20 }),
    address: fc.tuple(fc.domain(), fc.nat(65_535)).map(([host, port]) => `${host}:${port}`),
    incarnation: fc.maxSafeNat().map((incarnation) => Math.min(incarnation, incarnationMax)),
    state: fc.constantFrom(...memberStates),
    zone: anyText({ maxLength: 20 }),
    fingerprint: anyText({ maxLength: 20 }),
    clusterName: anyText({ maxLength: 20 }),
  },
  { noNullPrototype: true },
);
