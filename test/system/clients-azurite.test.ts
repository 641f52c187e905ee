/** Clients that people use, through Orca, on Azurite. */
import { suite } from "node:test";
import { clientsOn } from "./clients/client-suite.ts";
import { seededAzurite } from "./clients/guarded-replica.ts";

suite("clients on Azurite", () => clientsOn("Azurite", seededAzurite));
