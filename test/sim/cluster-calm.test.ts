/** Clusters in which no replica and no connection fails: what must hold exactly. See cluster-checks.ts. */
import { test } from "node:test";
import { inThread } from "../support/thread.ts";
import { simulateMany } from "./simulate.ts";

const simulation = import.meta.resolve("./simulate.ts");

test("a cluster where nothing goes wrong: right bytes, each fetched once, one HEAD per TTL, no error, no leak", () =>
  inThread(simulation, simulateMany, "calm", 200));

test("a cluster whose objects change: right bytes of one version, each fetched once, nobody staler than a TTL", () =>
  inThread(simulation, simulateMany, "changing", 200));
