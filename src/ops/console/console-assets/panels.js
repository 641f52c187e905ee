// What /figures says, and /cluster of threads, panel by panel.
import { drawRates } from "./chart.js";
import {
  ageText,
  byId,
  bytesText,
  element,
  milliseconds,
  moneyText,
  percent,
  ratioText,
  showTable,
  showTerms,
  timeText,
} from "./format.js";

export function showFigures(figures, onHotObject) {
  const replicas = figures.replicas.toSorted((left, right) => (left.replica_id < right.replica_id ? -1 : 1));
  showTrouble(figures);
  showTotals(figures.totals);
  byId("chart-empty").hidden = drawRates(byId("chart"), figures.history, bytesText);
  showSources(figures.totals);
  showMembers(figures);
  showTiers(replicas);
  showWork(replicas);
  showHotObjects(figures.hot_objects, onHotObject);
  showErrors(figures.errors);
}

function showTrouble({ members, replicas, unreachable, errors }) {
  const bad = members.filter(({ state }) => state === "suspect" || state === "dead");
  const serious = errors.filter(
    ({ last_hour, status }) => last_hour > 0 && (status === null || status >= 500),
  );
  const lines = [
    ...bad.map(({ replica_id, state }) => `Replica ${replica_id} is ${state}.`),
    ...unreachable.map(({ replica_id, reason }) => `Replica ${replica_id} is in no figure here. ${reason}`),
    ...replicas.flatMap(({ replica_id, notices }) =>
      Object.entries(notices).map(([part, reason]) => `${replica_id}, ${part}: ${reason}`),
    ),
    ...serious.map(
      ({ place, code, last_hour, remedy }) =>
        `${last_hour} × ${code} in the last hour, ${placeText(place)}. ${plain(remedy)}`,
    ),
  ];
  byId("trouble").hidden = lines.length === 0;
  byId("trouble-list").replaceChildren(...lines.map((line) => element("li", line)));
}

const placeText = (place) => (place === "clients" ? "told to clients" : `from origin ${place}`);
const plain = (markdown) => markdown.replaceAll("`", "");

function showTotals(totals) {
  const { served_bytes: served, origin_bytes: origin, saved_bytes: saved, cost } = totals;
  showTerms(byId("totals"), [
    ["Sent to clients", bytesText(served)],
    ["Fetched from the origin", bytesText(origin)],
    ["Saved", bytesText(saved)],
    ...(cost
      ? [
          ["Paid for fetching", moneyText(cost.fetched)],
          ["Saved in money", moneyText(cost.saved)],
        ]
      : []),
    ["Hit ratio by bytes", ratioText(totals.hit_ratio_bytes)],
    ["Hit ratio by requests", ratioText(totals.hit_ratio_requests)],
    ["Reads", String(totals.requests)],
    ["First byte, half of reads", milliseconds(totals.first_byte_ms.p50)],
    ["First byte, 99 of 100", milliseconds(totals.first_byte_ms.p99)],
  ]);
}

function showSources({ sources, served_bytes: served, requests: all }) {
  showTable(
    byId("sources"),
    ["Source", "Bytes", "Share", "Reads", "Share"],
    Object.entries(sources).map(([source, { bytes, requests }]) => [
      source,
      bytesText(bytes),
      percent(bytes, served),
      requests,
      percent(requests, all),
    ]),
  );
}

function showMembers({ members, replicas, at_ms }) {
  showTable(
    byId("members"),
    ["Replica", "State", "Zone", "Share of keys", "Version", "Up", "Sent", "Fetched", "Address"],
    members.map(({ replica_id, self, state, zone, share, address }) => {
      const figures = replicas.find((replica) => replica.replica_id === replica_id);
      const phase = figures && figures.phase !== "serving" ? `, ${figures.phase}` : "";
      return [
        self ? `${replica_id} (this one)` : replica_id,
        `${state}${phase}`,
        zone || "–",
        ratioText(share),
        figures ? figures.version || "–" : "no answer",
        figures ? ageText(at_ms - figures.started_ms) : "no answer",
        figures ? bytesText(figures.served_bytes) : "no answer",
        figures ? bytesText(figures.origin_bytes) : "no answer",
        address || "–",
      ];
    }),
  );
}

function showTiers(replicas) {
  showTable(
    byId("tiers"),
    ["Replica", "Tier", "Used", "Room", "Full", "Chunks", "Evicted"],
    replicas.flatMap(({ replica_id, tiers }) =>
      tiers.map(({ tier, chunks, used_bytes: used, max_bytes: max, evictions }) =>
        max === undefined
          ? [replica_id, tier, "–", "–", "–", `${chunks} expected`, "–"]
          : [replica_id, tier, bytesText(used), bytesText(max), percent(used, max), chunks, evictions],
      ),
    ),
  );
}

function showWork(replicas) {
  showTable(
    byId("work"),
    ["Replica", "Fetches", "From peers", "Origin requests", "Copies between disks", "Scrub", "Cachestore"],
    replicas.map(({ replica_id, fills, origins, replication, scrub, cachestore }) => [
      replica_id,
      fills.flights,
      fills.relays,
      origins.map(originText).join("; "),
      replication ? replicationText(replication) : "–",
      scrub ? scrubText(scrub) : "–",
      cachestore ? `${cachestore.driver}, breaker ${cachestore.breaker}` : "–",
    ]),
  );
}

function originText({ origin, requests_in_flight, requests_max, requests_waiting, throttle_part }) {
  const waiting = requests_waiting > 0 ? `, ${requests_waiting} wait` : "";
  const throttled = throttle_part < 1 ? `, throttled to ${ratioText(throttle_part)}` : "";
  return `${origin}: ${requests_in_flight} of ${requests_max}${waiting}${throttled}`;
}

function replicationText({ running, rounds, missing, pulls_running, pulls_waiting, pulled }) {
  const round = running ? "a round runs" : `${rounds} rounds, ${missing} missing in the last`;
  return `${round}; ${pulled} copied, ${pulls_running} running, ${pulls_waiting} waiting`;
}

function scrubText({ state, checked_bytes, total_bytes, bad_chunks }) {
  const done = state === "running" || state === "stopped" ? ` at ${percent(checked_bytes, total_bytes)}` : "";
  return `${state}${done}, ${bad_chunks} bad`;
}

function showHotObjects(objects, onHotObject) {
  byId("hot").hidden = objects.length === 0;
  byId("hot-empty").hidden = objects.length > 0;
  showTable(
    byId("hot"),
    ["Object", "Reads", "Bytes", ""],
    objects.map(({ bucket, key, requests, overcount, bytes }) => {
      const button = element("button", "Chunks");
      button.setAttribute("aria-label", `Show the chunks of ${bucket}/${key}`);
      button.addEventListener("click", () => onHotObject(bucket, key));
      const count = overcount > 0 ? `${requests - overcount} to ${requests}` : requests;
      return [`${bucket}/${key}`, count, bytesText(bytes), button];
    }),
  );
}

function showErrors(errors) {
  byId("errors").hidden = errors.length === 0;
  byId("errors-empty").hidden = errors.length > 0;
  showTable(
    byId("errors"),
    ["Code", "Where", "Last hour", "Since the start", "Last", "What to do"],
    errors.map(({ code, place, last_hour, count, last_ms, meaning, remedy }) => {
      const advice = element("div", plain(`${meaning} ${remedy}`));
      advice.className = "advice";
      return [code, placeText(place), last_hour, count, timeText(last_ms), advice];
    }),
  );
}

export function showThreads(threads) {
  showTable(
    byId("threads"),
    ["Thread", "Busy", "Connections of clients"],
    threads.map(({ thread, busy, connections }) => [thread, ratioText(busy), connections ?? "–"]),
  );
}
