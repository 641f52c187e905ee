/** Clusters that lose replicas and connections while the origin works: clients must not see it. See cluster-checks.ts. */
import { test } from "node:test";
import { simulateMany } from "./simulate.ts";

test("a cluster whose replicas crash, stall and restart: no client error on the others, and all is as before", () =>
  simulateMany("losing", 200));

test("a cluster with partitions, lost messages, black holes and resets: no client error, and all is as before", () =>
  simulateMany("parting", 200));
