import { test } from "node:test";
import { inThread } from "../support/thread.ts";
import { converge, convergence } from "./membership-convergence.ts";

const simulation = import.meta.resolve("./membership-convergence.ts");

for (const criterion of Object.keys(convergence)) {
  test(`Membership: ${criterion}`, () => inThread(simulation, converge, criterion));
}
