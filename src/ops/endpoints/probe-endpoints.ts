/** What machines poll: the probes of a supervisor and of a load balancer, and Prometheus. */
import type { MetricsRegistry } from "../metrics/metrics.ts";
import { asksForOpenMetrics, openMetricsContentType } from "../metrics/open-metrics.ts";
import { jsonPage, type OpsEndpoint, textPage } from "../ops-endpoint.ts";
import type { Readiness } from "../readiness.ts";

export function probeEndpoints(readiness: Readiness, metrics: MetricsRegistry): OpsEndpoint[] {
  return [
    {
      method: "GET",
      path: "/healthz",
      help: "200 while this process lives",
      answer: async () => textPage(200, "ok\n"),
    },
    {
      method: "GET",
      path: "/readyz",
      help: "200 while this replica should get clients, else 503 with the reasons",
      answer: async () => {
        const report = readiness.report();
        return jsonPage(report.ready ? 200 : 503, report);
      },
    },
    {
      method: "GET",
      path: "/metrics",
      help: "metrics in the Prometheus text format, or in OpenMetrics where Accept asks for it",
      answer: async ({ accept }) =>
        asksForOpenMetrics(accept)
          ? { status: 200, contentType: openMetricsContentType, body: await metrics.renderOpenMetrics() }
          : { status: 200, contentType: metrics.contentType, body: await metrics.render() },
    },
  ];
}
