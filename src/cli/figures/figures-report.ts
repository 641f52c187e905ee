/** What `orca top` and `orca cache stats --cluster` print of the figures of a cluster. */
import { formatBytes } from "../../base/units.ts";
import type { ClusterFiguresDocument, MemberFigures } from "../../ops/figures/cluster-figures.ts";
import { type Cell, counted, formatTable, printable } from "../table.ts";

type Replicas = ClusterFiguresDocument["replicas"];
type Replica = Replicas[number];

/** The slots of the history that a rate is the mean of: the last half minute. */
const rateSlots = 6;
const hotObjectsShown = 10;
const errorsShown = 5;

/** Rates, members, work, hot objects and what is wrong: what `orca top` refreshes. */
export function topReport(document: ClusterFiguresDocument, host: string): string {
  const parts = [
    headOf(document, host),
    ratesOf(document),
    membersTable(document),
    workTable(document.replicas),
    hotTable(document),
    wrongOf(document),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

/** Totals, sources, tiers and hot objects. */
export function clusterStatsReport(document: ClusterFiguresDocument, host: string): string {
  const parts = [
    headOf(document, host),
    totalsOf(document),
    sourcesTable(document),
    tiersTable(document.replicas),
    hotTable(document),
    wrongOf(document),
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function headOf({ replica_id, replicas, members, at_ms }: ClusterFiguresDocument, host: string): string {
  const live = members.filter(isLive).length;
  const time = new Date(at_ms).toISOString();
  return `${time}  ${replicas.length} of ${counted(live, "live replica")} answered, asked through ${printable(replica_id)} at ${host}`;
}

function isLive({ state }: MemberFigures): boolean {
  return state === "alive" || state === "suspect";
}

function ratesOf({ history, totals }: ClusterFiguresDocument): string {
  const slots = Math.min(rateSlots, history.served_bytes.length);
  const newest = (values: readonly number[]): number =>
    values.slice(-rateSlots).reduce((sum, value) => sum + value, 0);
  const served = newest(history.served_bytes);
  const origin = newest(history.origin_bytes);
  const rate = (count: number): number => (slots === 0 ? 0 : (1000 * count) / (slots * history.slot_ms));
  const byteRate = (bytes: number): string => `${formatBytes(Math.round(rate(bytes)))}/s`;
  const { p50, p99 } = totals.first_byte_ms;
  return formatTable(
    ["", "last 30 s", "since the start"],
    [
      ["sent to clients", byteRate(served), formatBytes(totals.served_bytes)],
      ["fetched from the origin", byteRate(origin), formatBytes(totals.origin_bytes)],
      ["responses with bytes", `${rate(newest(history.requests)).toFixed(1)}/s`, totals.requests],
      [
        "hit ratio by bytes",
        ratioText(served > 0 ? 1 - origin / served : null),
        ratioText(totals.hit_ratio_bytes),
      ],
      ["hit ratio by requests", "-", ratioText(totals.hit_ratio_requests)],
      ["first byte, median at most", "-", millisecondsText(p50)],
      ["first byte, 99 % at most", "-", millisecondsText(p99)],
    ],
  );
}

function totalsOf({ totals }: ClusterFiguresDocument): string {
  const { saved_bytes: saved, cost } = totals;
  const rows: Cell[][] = [
    ["sent to clients", formatBytes(totals.served_bytes)],
    ["fetched from the origin", formatBytes(totals.origin_bytes)],
    ["saved", savedText(saved)],
    ...(cost
      ? [
          ["paid for fetching", moneyText(cost.fetched)],
          ["saved in money", moneyText(cost.saved)],
        ]
      : []),
    ["responses with bytes", totals.requests],
    ["hit ratio by bytes", ratioText(totals.hit_ratio_bytes)],
    ["hit ratio by requests", ratioText(totals.hit_ratio_requests)],
  ];
  return formatTable(["since the start", ""], rows);
}

function savedText(bytes: number): string {
  return bytes < 0 ? `-${formatBytes(-bytes)}` : formatBytes(bytes);
}

function moneyText(money: number): string {
  return money.toFixed(Math.abs(money) < 1 ? 4 : 2);
}

function ratioText(ratio: number | null): string {
  return ratio === null ? "-" : `${(100 * ratio).toFixed(1)}%`;
}

/** The bound of a bucket: the time is at most that. */
function millisecondsText(bound: number | null): string {
  return bound === null ? "-" : `${bound} ms`;
}

function sourcesTable({ totals: { sources, served_bytes, requests } }: ClusterFiguresDocument): string {
  return formatTable(
    ["source", "bytes", "share", "responses", "share"],
    Object.entries(sources).map(([source, figures]) => [
      source,
      formatBytes(figures.bytes),
      ratioText(served_bytes > 0 ? figures.bytes / served_bytes : null),
      figures.requests,
      ratioText(requests > 0 ? figures.requests / requests : null),
    ]),
  );
}

function membersTable({ members, replicas, at_ms }: ClusterFiguresDocument): string {
  return formatTable(
    ["replica", "state", "zone", "share", "version", "up", "sent", "fetched", "memory", "disk"],
    members.map((member) => {
      const known = replicas.find(({ replica_id }) => replica_id === member.replica_id);
      const head = [member.replica_id, member.state, member.zone || "-", ratioText(member.share)];
      if (!known) return [...head, "no answer"];
      return [
        ...head,
        known.version || "-",
        ageText(at_ms - known.started_ms),
        formatBytes(known.served_bytes),
        formatBytes(known.origin_bytes),
        fullness(known, "memory"),
        fullness(known, "disk"),
      ];
    }),
  );
}

function fullness({ tiers }: Replica, name: string): string {
  const found = tiers.find(({ tier }) => tier === name);
  if (!found?.max_bytes) return "-";
  return `${Math.round((100 * found.used_bytes) / found.max_bytes)}%`;
}

function ageText(milliseconds: number): string {
  const minutes = Math.max(0, Math.floor(milliseconds / 60_000));
  if (minutes < 120) return `${minutes}m`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)}h` : `${Math.floor(minutes / 1440)}d`;
}

function tiersTable(replicas: Replicas): string {
  return formatTable(
    ["replica", "tier", "chunks", "used", "max", "evictions"],
    byId(replicas).flatMap(({ replica_id, tiers }) =>
      tiers.map(({ tier, chunks, used_bytes, max_bytes, evictions }) =>
        max_bytes === undefined
          ? [replica_id, tier, chunks, "-", "-", "-"]
          : [replica_id, tier, chunks, formatBytes(used_bytes), formatBytes(max_bytes), evictions],
      ),
    ),
  );
}

function workTable(replicas: Replicas): string {
  return formatTable(
    [
      "replica",
      "flights",
      "relays",
      "origin",
      "in flight",
      "share",
      "waiting",
      "throttled to",
      "scrub",
      "breaker",
    ],
    byId(replicas).flatMap(({ replica_id, fills, origins, scrub, cachestore }) =>
      origins.map((origin) => [
        replica_id,
        fills.flights,
        fills.relays,
        origin.origin,
        origin.requests_in_flight,
        origin.requests_max,
        origin.requests_waiting,
        origin.throttle_part < 1 ? ratioText(origin.throttle_part) : "-",
        scrub?.state ?? "-",
        cachestore?.breaker ?? "-",
      ]),
    ),
  );
}

function hotTable({ hot_objects: objects }: ClusterFiguresDocument): string {
  if (objects.length === 0) return "";
  return formatTable(
    ["hot objects of the last minutes", "responses", "bytes"],
    objects
      .slice(0, hotObjectsShown)
      .map(({ bucket, key, requests, overcount, bytes }) => [
        `s3://${bucket}/${key}`,
        overcount > 0 ? `${requests - overcount} to ${requests}` : requests,
        formatBytes(bytes),
      ]),
  );
}

function byId(replicas: Replicas): Replica[] {
  return replicas.toSorted((left, right) => (left.replica_id < right.replica_id ? -1 : 1));
}

/** Lines about members that do not answer, notices and the errors of the last hour. */
function wrongOf({ unreachable, replicas, errors }: ClusterFiguresDocument): string {
  const recent = errors.filter(({ last_hour }) => last_hour > 0).slice(0, errorsShown);
  const lines = [
    ...unreachable.map(({ replica_id, reason }) => `${replica_id} is in no figure here: ${reason}`),
    ...replicas.flatMap(({ replica_id, notices }) =>
      Object.entries(notices).map(([part, reason]) => `${replica_id}, ${part}: ${reason}`),
    ),
    ...recent.map(
      ({ place, code, last_hour, remedy }) =>
        `${counted(last_hour, "error")} ${code} in the last hour, ${placeText(place)}. ${remedy}`,
    ),
  ];
  return lines.map(printable).join("\n");
}

function placeText(place: string): string {
  return place === "clients" ? "answered to clients" : `from origin ${place}`;
}
