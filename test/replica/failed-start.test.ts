/**
 * Every part that can reject its settings, one at a time, in a replica that has all the others. What the others hold must be
 * released: one timer or thread that stays would keep the process from ending.
 */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { ClusterStatus } from "../../src/ops/endpoints/cluster-status.ts";
import { Replica } from "../../src/replica/replica.ts";
import { DiskRoot } from "../../src/store/disk/disk-root.ts";
import { selfSignedCertificate } from "../support/certificate.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { heldResources, released } from "../support/held-resources.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { startReplicas } from "../support/replica-cluster.ts";
import type { ReplicaFixture } from "../support/replica-fixture.ts";
import { keys, type Sections, s3Cachestore, type WholeReplica, wholeReplica } from "./whole-replica.ts";

interface Rejection {
  readonly what: string;
  readonly sections?: (whole: WholeReplica) => Sections;
  /** Done after the configuration was loaded, which checks some of this itself. Returns how to undo it. */
  readonly spoil?: (whole: WholeReplica) => undefined | (() => void) | Promise<undefined> | void;
  readonly code?: string;
  readonly message: RegExp;
}

const rejections: readonly Rejection[] = [
  {
    what: "server.tls: a certificate that cannot be read",
    spoil: ({ serverFiles }) => rmSync(serverFiles.certFile),
    message: /^Cannot read certificate ".*server\.crt"/,
  },
  {
    what: "server.tls: a key of another certificate",
    spoil: ({ serverFiles }) => writeFileSync(serverFiles.keyFile, selfSignedCertificate().key),
    message: /^Cannot use certificate ".*server\.crt" with key ".*server\.key"/,
  },
  {
    what: "internal_tls: a key that cannot be read",
    spoil: ({ meshFiles }) => rmSync(meshFiles.keyFile),
    message: /^Cannot read key ".*r0\.key"/,
  },
  {
    what: "internal_tls: a key of another certificate",
    spoil: ({ meshFiles }) => writeFileSync(meshFiles.keyFile, selfSignedCertificate().key),
    message: /^Cannot use certificate ".*r0\.crt" with key ".*r0\.key"/,
  },
  {
    what: "internal_tls: a certificate without the cluster's name",
    spoil: async ({ certificates }) => void (await certificates.files("r0", { hosts: ["stranger"] })),
    message: /^Cannot use certificate ".*r0\.crt" on the mesh/,
  },
  {
    what: "an origin whose driver rejects its settings",
    sections: () => ({
      origin: {
        driver: "azureblob",
        awss3: undefined,
        azureblob: { account: "acct", container: "c-c", endpoint: "http://127.0.0.1:1" },
      },
    }),
    message: /without an account key it must be https/,
  },
  {
    what: "a disk root that is a file",
    sections: ({ serverFiles }) => ({ disk: { root: serverFiles.certFile } }),
    message: /^Cannot open disk root ".*server\.crt"/,
  },
  {
    what: "a disk root that another process holds",
    spoil: ({ diskRoot }) => {
      const other = DiskRoot.open(diskRoot);
      return () => other.close();
    },
    message: /^Cannot open disk root ".*": process \d+ uses it/,
  },
  {
    what: "an address of its own that no view takes",
    sections: () => ({ cluster: { internal_listen: `${"a".repeat(300)}:0` } }),
    code: "invalid_argument",
    message: /^Cannot take a member into the view: the address of "r0"/,
  },
  {
    what: "an S3 cachestore without its bucket",
    sections: ({ s3 }) => ({ cachestore: s3Cachestore(s3, "chunks") }),
    message: /^Cannot use bucket "chunks" .* answered 404/,
  },
  {
    what: "an S3 cachestore that nobody serves",
    sections: () => ({ cachestore: s3Cachestore({ endpoint: "http://127.0.0.1:1" }, "chunks") }),
    message: /^Cannot use bucket "chunks" .*ECONNREFUSED/,
  },
  {
    what: "a POSIX cachestore without its directory",
    spoil: ({ cachestoreRoot }) => rmSync(cachestoreRoot, { recursive: true }),
    message: /^Cannot use ".*cachestore" as a cachestore/,
  },
  {
    what: "an ops listener whose port is taken",
    sections: ({ takenAddress }) => ({ server: { ops_listen: takenAddress } }),
    message: /^Cannot listen for ops on .*EADDRINUSE/,
  },
  {
    what: "a mesh listener whose port is taken",
    sections: ({ takenAddress }) => ({ cluster: { internal_listen: takenAddress } }),
    message: /^Cannot listen for other replicas on .*EADDRINUSE/,
  },
  {
    what: "an S3 listener whose port is taken, with a POSIX cachestore",
    sections: ({ takenAddress }) => ({ server: { listen: takenAddress } }),
    message: /^Cannot listen for S3 clients on .*EADDRINUSE/,
  },
  {
    what: "an S3 listener whose port is taken, with an S3 cachestore",
    sections: ({ s3, takenAddress }) => ({
      server: { listen: takenAddress },
      cachestore: s3Cachestore(s3, "kept"),
    }),
    message: /^Cannot listen for S3 clients on .*EADDRINUSE/,
  },
];

for (const { what, sections, spoil, code = "config_invalid", message } of rejections) {
  test(`Replica: a start that fails because of ${what} leaves nothing`, async (context) => {
    const whole = await wholeReplica(context);
    const config = loadConfig({ env: keys, overrides: whole.settings(sections?.(whole)) });
    const unspoil = await spoil?.(whole);
    const clock = new FakeClock();
    const logger = new RecordedLogger();
    const before = await heldResources();
    const started = async (): Promise<void> => {
      const replica = await Replica.open({ config, clock, random: new SeededRandom(1), logger });
      await replica.start();
    };
    await assert.rejects(started(), { code, message });
    await released(before);
    assert.equal(clock.pendingTimers, 0);
    assert.equal(logger.count("error"), 0);
    unspoil?.();
    // A disk that was opened can be opened again.
    if (config.disk?.root === whole.diskRoot) DiskRoot.open(whole.diskRoot).close();
  });
}

test("Replica: a start that fails after it has joined says goodbye to the others", async (context) => {
  const cluster = await startReplicas({ replicas: 2, disk: true });
  context.after(() => cluster.stop());
  const [first, second] = cluster.replicas.map(({ replica }) => replica);
  const { host } = new URL((cluster.replicas[0] as ReplicaFixture).endpoint);
  await assert.rejects(cluster.join({ server: { listen: host } }), { message: /EADDRINUSE/ });
  const answer = await fetch(`${(cluster.replicas[0] as ReplicaFixture).opsEndpoint}/cluster`);
  const { members } = (await answer.json()) as ClusterStatus;
  assert.deepEqual(
    members.map(({ replica_id: replicaId, state }) => [replicaId, state]),
    [
      ["r0", "alive"],
      ["r1", "alive"],
      ["r2", "left"],
    ],
  );
  assert.deepEqual([first?.liveMembers, second?.liveMembers], [2, 2]);
});
