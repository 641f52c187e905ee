import assert from "node:assert/strict";
import { test } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { SeededRandom } from "../../src/base/random.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Replica } from "../../src/replica/replica.ts";
import { failAccept, serverOn } from "../support/listening-servers.ts";
import { RecordedLogger } from "../support/recorded-logger.ts";
import { keys, wholeReplica } from "./whole-replica.ts";

for (const dying of ["s3", "ops", "mesh"] as const) {
  test(`Replica.listenerDied: the ${dying} listener goes on after accepts that fail, and its death is told`, async (context) => {
    const { settings } = await wholeReplica(context);
    const config = loadConfig({ env: keys, overrides: settings() });
    const logger = new RecordedLogger();
    const replica = await Replica.open({
      config,
      clock: new SystemClock(),
      random: new SeededRandom(1),
      logger,
    });
    context.after(() => replica.stop());
    const addresses = await replica.start();
    const server = serverOn(addresses[dying]?.port ?? 0);
    if (dying !== "ops") {
      for (const code of ["EMFILE", "ENFILE"]) failAccept(server, code);
      const metrics = await (await fetch(`http://127.0.0.1:${addresses.ops.port}/metrics`)).text();
      assert.match(metrics, new RegExp(`^orca_accept_errors_total\\{listener="${dying}"\\} 2$`, "m"));
    }
    server.emit("error", new Error("the socket is broken"));
    const { message } = await replica.listenerDied;
    assert.match(message, /^The listener for (?:S3 clients|ops|other replicas) died: the socket is broken$/);
    assert.ok(logger.events.some((event) => event.level === "error" && event.message === message));
  });
}
