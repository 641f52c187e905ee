import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterStatsReport, topReport } from "../../../src/cli/figures/figures-report.ts";
import { clusterFiguresOf } from "./cluster-figures-of.ts";

test("topReport: rates of the last half minute, members, work, hot objects and what is wrong", () => {
  assert.equal(
    topReport(clusterFiguresOf(), "h:1"),
    `1970-01-01T02:30:00.000Z  1 of 2 live replicas answered, asked through r1 at h:1

                            last 30 s  since the start
sent to clients             2 KiB/s              4 KiB
fetched from the origin     512 B/s              1 KiB
responses with bytes        0.2/s                    4
hit ratio by bytes          75.0%                75.0%
hit ratio by requests       -                    75.0%
first byte, median at most  -                  0.25 ms
first byte, 99 % at most    -                        -

replica  state    zone  share  version    up   sent  fetched  memory  disk
r1       alive    z     50.0%  0.1.0      2h  4 KiB    1 KiB     25%     -
r2       suspect  z     50.0%  no answer

replica  flights  relays  origin  in flight  share  waiting  throttled to  scrub  breaker
r1             1       2  o               3      8        0         70.0%      -  open

hot objects of the last minutes  responses  bytes
s3://b/k?[2J                     40 to 42   2 KiB
s3://b/l                         3          1 KiB

r2 is in no figure here: Cannot ask "r2"
r1, disk: it hangs
2 errors origin_throttled in the last hour, from origin o. Lower \`origin.target_global\`, or ask the origin's owner for a higher rate.
`,
  );
});

test("clusterStatsReport: totals, money, sources, tiers and hot objects", () => {
  assert.equal(
    clusterStatsReport(clusterFiguresOf(), "h:1"),
    `1970-01-01T02:30:00.000Z  1 of 2 live replicas answered, asked through r1 at h:1

since the start
sent to clients           4 KiB
fetched from the origin   1 KiB
saved                     3 KiB
paid for fetching        0.5000
saved in money             1.00
responses with bytes          4
hit ratio by bytes        75.0%
hit ratio by requests     75.0%

source  bytes  share  responses  share
memory  3 KiB  75.0%          3  75.0%
origin  1 KiB  25.0%          1  25.0%

replica  tier        chunks   used    max  evictions
r1       memory           1  1 KiB  4 KiB          2
r1       cachestore       7      -      -          -

hot objects of the last minutes  responses  bytes
s3://b/k?[2J                     40 to 42   2 KiB
s3://b/l                         3          1 KiB

r2 is in no figure here: Cannot ask "r2"
r1, disk: it hangs
2 errors origin_throttled in the last hour, from origin o. Lower \`origin.target_global\`, or ask the origin's owner for a higher rate.
`,
  );
});

test("topReport: a cluster that has done nothing has no ratio, no rate and no hot object", () => {
  const figures = clusterFiguresOf();
  const series = { ...figures.history, served_bytes: [], origin_bytes: [], requests: [] };
  const idle = topReport(
    { ...figures, hot_objects: [], unreachable: [], errors: [], replicas: [], history: series },
    "h",
  );
  assert.match(idle, /^sent to clients +0 B\/s /m);
  assert.match(idle, /^hit ratio by bytes +- /m);
  assert.doesNotMatch(idle, /hot objects|undefined|NaN/);
});
