/** A check that cannot fail proves nothing: each kind is shown a cluster in which what it looks for has been broken. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OrcaError } from "../../src/base/orca-error.ts";
import { type ScenarioKind, ttlMs } from "./scenario.ts";
import { seedOf, simulate } from "./simulate.ts";
import type { SimulatedReplica } from "./simulated-replica.ts";

interface Sabotage {
  readonly what: string;
  readonly kind: ScenarioKind;
  readonly commit: (replica: SimulatedReplica) => void;
  readonly found: RegExp;
}

const sabotages: readonly Sabotage[] = [
  {
    what: "a replica that answers with bytes from another offset",
    kind: "calm",
    commit: ({ chunks }) => {
      const answer = chunks.answer.bind(chunks);
      chunks.answer = (request) => answer({ ...request, offset: Math.max(0, request.offset - 1) });
    },
    found: /received: wrong byte at offset/,
  },
  {
    what: "a disk that reads other bytes than were written",
    kind: "calm",
    commit: ({ disk }) => {
      if (!disk) return;
      disk.readBlock = (_ref, _blockIndex, target) => {
        target.fill(0);
        return Promise.resolve(true);
      };
    },
    found: /wrong byte at offset/,
  },
  {
    what: "replicas that all fill for themselves",
    kind: "calm",
    commit: ({ relay, filler }) => {
      relay.fill = (key, request) => filler.fill(key, request);
    },
    found: /was fetched twice/,
  },
  {
    what: "replicas that all ask the origin for metadata",
    kind: "calm",
    commit: ({ objects }) => {
      objects.head = () => Promise.reject(new OrcaError("peer_unavailable", "mesh", "Cannot answer"));
    },
    found: /the metadata of k\d+ is asked for/,
  },
  {
    what: "a share of the origin that does not follow the membership",
    kind: "calm",
    commit: ({ guarded }) => {
      guarded.resize = () => {};
    },
    found: /requests in flight, and a share of/,
  },
  {
    what: "memory that is never given back",
    kind: "calm",
    commit: ({ budget }) => void budget.tryReserve(1)?.takeSegment(1),
    found: /has lost bytes of memory/,
  },
  {
    what: "a reservation that is never granted",
    kind: "calm",
    commit: ({ budget }) => {
      budget.reserve = () => new Promise(() => {});
    },
    found: /not within \d+ ms: all clients are served/,
  },
  {
    what: "TTLs that add up from replica to replica",
    kind: "changing",
    commit: ({ objects }) => {
      const head = objects.head.bind(objects);
      objects.head = async (request) => ({ ...(await head(request)), remainingMs: ttlMs });
    },
    found: /a look-up of k\d+ at .* which was not so after/,
  },
  {
    what: "a directory that does not forget",
    kind: "changing",
    commit: ({ directory }) => {
      directory.forget = () => {};
    },
    found: /what was found out of date is not told again/,
  },
  {
    what: "a peer's trouble that is taken for the object's",
    kind: "losing",
    commit: ({ coordination }) => {
      coordination.failed = () => {
        throw new OrcaError("peer_unavailable", "mesh", "Cannot reach a peer");
      };
    },
    found: /could not read (k\d+|a list of "k?1?"): peer_unavailable/,
  },
  {
    what: "a peer that is gone around for ever",
    kind: "losing",
    commit: ({ coordination }) => {
      coordination.answered = () => {};
    },
    found: /still goes around others/,
  },
  {
    what: "TTLs of listings that add up from replica to replica",
    kind: "changing",
    commit: ({ objects }) => {
      const list = objects.list.bind(objects);
      objects.list = async (request) => ({ ...(await list(request)), remainingMs: ttlMs });
    },
    found: /a list of "k?1?" at .* which was not so after/,
  },
  {
    what: "replicas that all list at the origin",
    kind: "calm",
    commit: ({ listings, authorityListings }) => {
      listings.list = (request) => authorityListings.list(request);
    },
    found: /LIST .* is sent/,
  },
  {
    what: "a cachestore whose bytes are others",
    kind: "losing",
    commit: ({ cachestore }) => {
      if (!cachestore) return;
      cachestore.presence = () => "held";
      cachestore.read = async (_key, _offset, lengthBytes, sink) => {
        for (let left = lengthBytes; left > 0; ) {
          const space = sink.space().subarray(0, left).fill(0);
          sink.advance(space.length);
          left -= space.length;
        }
        return "hit";
      };
    },
    found: /wrong byte at offset/,
  },
  {
    what: "keepers that pull no copies",
    kind: "calm",
    commit: ({ replicated }) => {
      if (replicated) replicated.puller.enqueue = () => true;
    },
    found: /all copies are made/,
  },
  {
    what: "openings whose bytes are asked for again",
    kind: "calm",
    commit: ({ filler }) => {
      const receive = filler.receive.bind(filler);
      filler.receive = (...asked) => {
        const body = receive(...asked);
        // Each byte comes, and is taken for none.
        return body && { ...body, sink: { space: () => Buffer.alloc(1024), advance: () => {} } };
      };
    },
    found: /was fetched twice/,
  },
  {
    what: "a timer that nobody ends",
    kind: "calm",
    commit: ({ clock }) => void clock.timer(3_600_000, () => {}),
    found: /a timer is left over/,
  },
];

const seedsMax = 40;

for (const { what, kind, commit, found } of sabotages) {
  test(`the checks find ${what}`, async () => {
    for (let number = 0; number < seedsMax; number += 1) {
      try {
        await simulate({ seed: seedOf(kind, number), sabotage: commit });
      } catch (thrown) {
        assert.match((thrown as Error).message, found);
        return;
      }
    }
    assert.fail(`not in ${seedsMax} seeds`);
  });
}
