/**
 * The alerts and the dashboard on real replicas: a real Prometheus scrapes three replicas that keep copies on disks, and three
 * with a cachestore, all under load. Each query finds data, or nothing for a reason that stands here.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { alerts } from "../../deploy/prometheus/alerts-page.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { type Dashboard, dashboardText, prometheusFolder } from "../deploy/monitoring-files.ts";
import { ProcessCluster } from "../e2e/process-cluster.ts";
import { endProcesses, run } from "../support/process.ts";
import { Prometheus, prometheusAvailable } from "../support/prometheus.ts";
import { type ReplicaCluster, startReplicas } from "../support/replica-cluster.ts";
import { testBucket } from "../support/replica-fixture.ts";
import { S3Server } from "../support/s3-server.ts";
import { until } from "../support/until.ts";
import { type Requirement, suiteWith } from "./installed.ts";

const prometheusRequirement: Requirement = {
  name: "prometheus",
  isInstalled: prometheusAvailable,
  install: "apt-get install --no-install-recommends prometheus",
  isInstalledByCi: true,
};

/** Above any time that the checks take. */
const filledWithinMs = 60_000;
const promtoolTimeoutMs = 120_000;
const objects = 40;
const sizeBytes = MiB + 100 * KiB;
const storeBucket = "chunks";

const noServerTls = "clients connect without TLS (server.tls)";
const noAuth = "clients need no credentials (server.auth)";
const noErrors = "no error of this kind has happened, and the series begins with the first one";

/** Queries of panels that find nothing in either job, by title and legend. */
const emptyPanels: Readonly<Record<string, string>> = {
  "Denied, by code: {{code}}": noAuth,
  "Errors of disks, by code: {{instance}} {{code}}": noErrors,
  "Errors of origins, by code: {{origin}} {{code}}": noErrors,
};

/** Selectors in alerts that find nothing in either job. */
const emptySelectors: Readonly<Record<string, string>> = {
  orca_tls_certificate_expiry_timestamp_seconds: noServerTls,
  orca_tls_reload_failures_total: noServerTls,
  orca_access_reload_failures_total: noAuth,
  orca_disk_errors_total: noErrors,
  'orca_origin_errors_total{code=~"origin_denied|origin_no_credentials"}': noErrors,
  'orca_origin_errors_total{code=~"origin_unavailable|origin_throttled"}': noErrors,
  'orca_requests_total{status="503"}': noErrors,
  'orca_requests_total{status=~"5.."}': noErrors,
};

/** Alerts that may be about to fire in this test, and never do. */
const pendingAlerts: Readonly<Record<string, string>> = {
  OrcaCertificateExpires: "the certificates of the test are valid for a day",
  OrcaEventLoopLags: "the machine of the test is busy with other work",
};

let disks: ProcessCluster;
let cachestore: S3Server;
let stored: ReplicaCluster;
let prometheus: Prometheus;
/** Bytes of bodies that clients received, by job. */
const receivedBytes = { disks: 0, stored: 0 };
const loading = new AbortController();
let load: Promise<unknown> = Promise.resolve();

interface Reads {
  readonly get: (key: string, headers?: Record<string, string>) => Promise<Response>;
  readonly endpoint: string;
}

/** Whole objects, ranges, absent keys and listings, again and again. */
async function client(job: keyof typeof receivedBytes, { get, endpoint }: Reads): Promise<void> {
  for (let turn = 0; !loading.signal.aborted; turn += 1) {
    const response = await get(`k${turn % objects}`, turn % 3 === 0 ? { range: "bytes=1000-99999" } : {});
    assert.ok(response.ok, `${response.status}`);
    const { byteLength } = await response.arrayBuffer();
    receivedBytes[job] += byteLength;
    if (turn % 10 === 0) {
      await (await get(`absent-${turn}`)).arrayBuffer();
      await (await fetch(`${endpoint}/${testBucket}?list-type=2&prefix=${turn}`)).arrayBuffer();
    }
    await sleep(20);
  }
}

const address = ({ opsEndpoint }: { opsEndpoint: string }): string => new URL(opsEndpoint).host;

async function startAll(): Promise<void> {
  disks = await ProcessCluster.start({
    settings: (index, folder) =>
      `memory: { max_bytes: 32MiB }\ndisk: { root: "${folder}/disk-${index}", max_bytes: 1GiB }`,
    clusterSettings: "  replication: 2",
  });
  cachestore = await S3Server.start({ buckets: [storeBucket] });
  stored = await startReplicas({
    settings: {
      chunking: { size: "1MiB", tiers: [] },
      memory: { max_bytes: "32MiB" },
      cachestore: {
        driver: "s3",
        s3: { endpoint: cachestore.endpoint, bucket: storeBucket, use_path_style: true },
      },
    },
  });
  for (const { origin } of [disks, stored]) {
    for (let seed = 0; seed < objects; seed += 1) origin.put(testBucket, `k${seed}`, { seed, sizeBytes });
  }
  prometheus = await Prometheus.start(
    [
      { name: "disks", targets: disks.replicas.map(address) },
      { name: "stored", targets: stored.replicas.map(address) },
    ],
    `${prometheusFolder}/alerts.yaml`,
  );
  load = Promise.all([
    ...disks.replicas.map((replica) => client("disks", replica)),
    ...stored.replicas.map((replica) => client("stored", replica)),
  ]);
  // A pass of the scrub, so that its figures are there.
  for (const { opsEndpoint } of disks.replicas) {
    const headers = { "x-orca-action": "verify" };
    const response = await fetch(`${opsEndpoint}/cache/verify`, { method: "POST", headers });
    assert.ok(response.ok, await response.text());
  }
}

interface PanelQuery {
  readonly name: string;
  readonly query: string;
}

/** As Grafana fills in what is chosen above the panels. */
function panelQueries(job: string): PanelQuery[] {
  const { panels } = JSON.parse(dashboardText) as Dashboard;
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => ({
      name: `${title}: ${legendFormat}`,
      query: expr
        .replaceAll("$job", job)
        .replaceAll("$instance", ".*")
        .replaceAll("$__rate_interval", "30s")
        .replaceAll("$__range", "10m"),
    })),
  );
}

const path = (file: string): string => `${prometheusFolder}/${file}`;

async function figure(query: string): Promise<number> {
  const [series] = await prometheus.query(query);
  return Number(series?.value[1]);
}

/** The selectors of an expression, with their matchers. */
function selectorsIn(expression: string): string[] {
  return [...new Set(expression.match(/\b(?:up|(?:orca|process|nodejs)_[a-z0-9_]+)\b(?:\{[^}]*\})?/g))];
}

const isData = ({ value: [, value] }: { value: readonly [number, string] }): boolean => value !== "NaN";

/** Names of the queries that find nothing but NaN. */
async function emptyAmong(queries: readonly PanelQuery[]): Promise<string[]> {
  const empty: string[] = [];
  for (const { name, query } of queries) {
    if (!(await prometheus.query(query)).some(isData)) empty.push(name);
  }
  return empty;
}

suiteWith(prometheusRequirement, "a real Prometheus scrapes replicas under load", () => {
  before(startAll);
  after(async () => {
    loading.abort();
    await load.catch(() => {});
    await prometheus?.stop();
    await stored?.stop();
    await cachestore?.stop();
    await disks?.stop();
    await endProcesses();
  });

  test("promtool: the rules and the example are valid, and the rules' own tests pass", async () => {
    await run("promtool", ["check", "rules", path("alerts.yaml")]);
    await run("promtool", ["check", "config", path("prometheus.yaml")]);
    const tests = [path("alerts.test.yaml"), path("alerts-scrub.test.yaml")];
    await run("promtool", ["test", "rules", ...tests], promtoolTimeoutMs);
  });

  test("every panel's query finds data in one of the jobs, or nothing for the reason that is named", async () => {
    const expected = Object.keys(emptyPanels).sort();
    let empty: string[] = [];
    await until(async () => {
      const ofStored = new Set(await emptyAmong(panelQueries("stored")));
      empty = (await emptyAmong(panelQueries("disks"))).filter((name) => ofStored.has(name));
      return empty.length <= expected.length;
    }, filledWithinMs).catch(() => {});
    assert.deepEqual(empty.sort(), expected);
  });

  test("every selector of every alert finds series, or none for the reason that is named", async () => {
    const selectors = [...new Set(alerts().flatMap(({ expr }) => selectorsIn(expr)))];
    assert.ok(selectors.length >= 40, String(selectors.length));
    const empty = await emptyAmong(selectors.map((query) => ({ name: query, query })));
    assert.deepEqual(empty.sort(), Object.keys(emptySelectors).sort());
  });

  test("Prometheus evaluates every alert without an error, and none fires in the calm", async () => {
    const rules = await prometheus.rules();
    assert.deepEqual(
      rules.map(({ name }) => name).sort(),
      alerts()
        .map(({ alert }) => alert)
        .sort(),
    );
    await until(async () => (await prometheus.rules()).every(({ health }) => health === "ok"));
    const active = (await prometheus.rules()).filter(({ state }) => state !== "inactive");
    const unexpected = active.filter(
      ({ name, state }) => state === "firing" || pendingAlerts[name] === undefined,
    );
    assert.deepEqual(unexpected, []);
  });

  test("the figures are those of the clients: bytes served, and bytes that the origin sent", async () => {
    loading.abort();
    await load;
    for (const job of ["disks", "stored"] as const) {
      const { origin } = job === "disks" ? disks : stored;
      const fromOrigin = Array.from({ length: objects }, (_, seed) => origin.bytesSent(`k${seed}`));
      const sent = fromOrigin.reduce((total, bytes) => total + bytes, 0);
      await until(
        async () => (await figure(`sum(orca_bytes_sent_total{job="${job}"})`)) === receivedBytes[job],
      );
      assert.equal(await figure(`sum(orca_origin_bytes_total{job="${job}"})`), sent);
      assert.equal(sent, objects * sizeBytes);
    }
  });

  test("an origin that denies: the panels show its errors by code, and OrcaOriginDenies fires", async () => {
    const { origin, replicas } = disks;
    origin.faults.always("*", "denied", { status: 403, code: "AccessDenied" });
    await until(async () => {
      for (const { get } of replicas) {
        const response = await get("denied");
        assert.equal(response.status, 502);
        await response.arrayBuffer();
      }
      const firing = await prometheus.query(`ALERTS{alertname="OrcaOriginDenies", alertstate="firing"}`);
      return firing.some(({ metric }) => metric["job"] === "disks" && metric["code"] === "origin_denied");
    });
    const queries = panelQueries("disks").filter(({ name }) => name.startsWith("Errors of origins, by code"));
    assert.equal(queries.length, 1);
    assert.deepEqual(await emptyAmong(queries), []);
  });

  test("a replica that is killed: OrcaReplicaDown is about to fire for it, and OrcaMembersMissing is not", async () => {
    const killed = disks.replicas[2];
    assert.ok(killed);
    await killed.child.stop();
    await until(async () => (await prometheus.query(`ALERTS{alertname="OrcaReplicaDown"}`)).length > 0);
    const [alert] = await prometheus.query(`ALERTS{alertname="OrcaReplicaDown"}`);
    assert.equal(alert?.metric["instance"], address(killed));
    await until(async () => {
      const live = await prometheus.query(`orca_members{job="disks", state="alive"} == 2`);
      return live.length === 2;
    });
    assert.deepEqual(await prometheus.query(`ALERTS{alertname="OrcaMembersMissing", job="disks"}`), []);
  });
});
