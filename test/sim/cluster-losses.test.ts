/** Clusters that lose replicas and connections while the origin works: clients must not see it. See cluster-checks.ts. */
import { test } from "node:test";
import { inThread } from "../support/thread.ts";
import { simulateMany } from "./simulate.ts";

const simulation = import.meta.resolve("./simulate.ts");

test("a cluster whose replicas crash, stall and restart: no client error on the others, and all is as before", () =>
  inThread(simulation, simulateMany, "losing", 200));

test("a cluster with partitions, lost messages, black holes and resets: no client error, and all is as before", () =>
  inThread(simulation, simulateMany, "parting", 200));
