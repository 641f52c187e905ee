import assert from "node:assert/strict";
import { test } from "node:test";
import type { Member } from "../../src/membership/member.ts";
import { Verifier, type VerifierOptions } from "../../src/membership/verifier.ts";
import { FakeClock, settle } from "../support/fake-clock.ts";

const probeTimeoutMs = 500;

function memberOf(number: number): Member {
  return { replicaId: `m${number}`, address: `127.0.0.1:${number}`, state: "alive" } as unknown as Member;
}

/** A verifier of members of which those that `answers` accepts answer at once, and the others refuse at once. */
function verifierOf(members: readonly Member[], answers: (member: Member) => boolean) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const byId = new Map(members.map((member) => [member.replicaId, member]));
  const options = {
    clock,
    settings: { probeTimeoutMs, probeIntervalMs: 60_000 },
    stallWatch: { stalledSince: () => false },
    messenger: {
      ping: async (member: Member) => {
        asked.push(member.replicaId);
        return answers(member);
      },
    },
    table: { get: (id: string) => byId.get(id), hasAnswered: () => false, accuse: () => {} },
  } as unknown as VerifierOptions;
  return { clock, asked, verifier: new Verifier(options) };
}

test("Verifier: members that refuse at once are asked no faster than silent ones, and those that answer without a pause", async () => {
  const members = Array.from({ length: 100 }, (_, number) => memberOf(number));
  const { clock, asked, verifier } = verifierOf(members, () => false);
  verifier.start();
  for (const member of members) verifier.include(member, false);
  await settle();
  assert.equal(asked.length, 16);
  // One that has contacted this replica is first, whoever else waits.
  const caller = members[99] as Member;
  verifier.include(caller, true);
  await clock.advance(probeTimeoutMs);
  assert.equal(asked.length, 32);
  assert.equal(asked[16], caller.replicaId);
  verifier.stop();
  assert.equal(clock.pendingTimers, 0);

  const answering = verifierOf(members, () => true);
  answering.verifier.start();
  for (const member of members) answering.verifier.include(member, false);
  await settle();
  assert.equal(answering.asked.length, 100);
});
