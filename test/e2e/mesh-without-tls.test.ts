/** A mesh without TLS, which an operator has asked for: it works, and it is never forgotten. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReadinessReport } from "../../src/ops/readiness.ts";
import { startReplicas } from "../support/replica-cluster.ts";

for (const tls of [false, true]) {
  test(`a mesh ${tls ? "with" : "without"} TLS: each start ${tls ? "is silent" : "warns, and /readyz has a notice"}`, async (context) => {
    const { replicas, stop } = await startReplicas({ replicas: 2, tls });
    context.after(stop);
    for (const { opsEndpoint, logger } of replicas) {
      const report = (await (await fetch(`${opsEndpoint}/readyz`)).json()) as ReadinessReport;
      assert.equal(report.ready, true);
      const warned = logger.events.filter(({ message }) =>
        message.startsWith("Serving the mesh without TLS"),
      );
      assert.equal(warned.length, tls ? 0 : 1);
      // Others may have something to say of a busy machine.
      const { internal_tls: notice = "ok" } = report.notices;
      if (tls) assert.equal(notice, "ok");
      else assert.match(notice, /^there is no TLS between replicas: /);
    }
  });
}
