/** A member with everything filled in, for tests that care about one field of it. */
import { fingerprintOf } from "../../src/membership/agreed-settings.ts";
import type { Member } from "../../src/membership/member.ts";
import { addressOf, agreedSettings } from "./membership-fixture.ts";

export function memberOf(replicaId: string, fields: Partial<Member> = {}): Member {
  return {
    replicaId,
    address: addressOf(replicaId),
    incarnation: 1,
    state: "alive",
    zone: "",
    fingerprint: fingerprintOf(agreedSettings),
    clusterName: agreedSettings.name,
    ...fields,
  };
}
