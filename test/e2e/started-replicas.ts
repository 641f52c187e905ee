/** The replicas that a test has started. They end with the test, however it ends. One object serves a file of tests. */
import { afterEach } from "node:test";
import {
  type ReplicaCluster,
  type ReplicaClusterOptions,
  startReplicas,
} from "../support/replica-cluster.ts";
import { type ReplicaFixture, type ReplicaFixtureOptions, startReplica } from "../support/replica-fixture.ts";

export class StartedReplicas {
  readonly #running: { stop(): Promise<void> }[] = [];

  constructor() {
    afterEach(() => this.stop());
  }

  async single(options: ReplicaFixtureOptions): Promise<ReplicaFixture> {
    const replica = await startReplica(options);
    this.#running.push(replica);
    return replica;
  }

  async cluster(options: ReplicaClusterOptions): Promise<ReplicaCluster> {
    const cluster = await startReplicas(options);
    this.#running.push(cluster);
    return cluster;
  }

  /** For a test that starts another replica on the same disk. */
  async stop(): Promise<void> {
    for (const each of this.#running.splice(0)) await each.stop();
  }
}
